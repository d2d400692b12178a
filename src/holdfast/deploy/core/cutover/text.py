"""A plan as text, for people who carry it out line by line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from holdfast.deploy.core.cutover.steps import CutoverPlan, Step, in_words

_WIDTH: Final = 110


def render(plan: CutoverPlan) -> str:
    """The whole plan. Commands stand on lines of their own; the files that they name are ``plan.files``."""
    of = plan.request
    head = [
        f"Cut-over of {of.name} from {of.source.dns} ({of.source.kind}) to {of.target.dns} ({of.target.kind})",
        f"{len(plan.steps)} steps, at least {in_words(plan.duration_s)}; {len(plan.files)} files",
        "Run it with `set -euo pipefail`. A check that fails, or cannot be made, means roll back, not go on.",
        "",
    ]
    return "\n".join([*head, *(line for number, step in enumerate(plan.steps, 1) for line in _step(number, step))])


def _step(number: int, step: Step) -> Iterator[str]:
    yield f"{number}. {step.title}  [{step.id}]"
    yield from _wrapped("why", step.why)
    yield from _lines("do", step.commands)
    for check in step.checks:
        yield from _lines("check", (check.command,) if check.command else ())
        yield from _wrapped("expect", check.expects)
    for reason in step.abort:
        yield from _wrapped("abort", reason)
    if step.back is None:
        yield from _wrapped("back", "none")
    else:
        effect = f"; takes effect within {in_words(step.back.effect_s)}" if step.back.effect_s else ""
        yield from _wrapped("back", step.back.summary + effect)
        yield from _lines("back", step.back.commands)
    if step.wait_s:
        yield from _wrapped("wait", f"at least {in_words(step.wait_s)}")
    yield ""


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"   {label + ':':<8}",
        subsequent_indent=" " * 11,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _lines(label: str, commands: tuple[str, ...]) -> list[str]:
    return [f"   {label + ':':<8}$ {command}" for command in commands]
