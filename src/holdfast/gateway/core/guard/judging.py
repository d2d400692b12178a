"""What follows from what was found: notes for the log, a replaced text, a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from holdfast.gateway.core.guard.detector import Span
from holdfast.gateway.core.ports import Finding
from holdfast.gateway.core.settings import GuardAction
from holdfast.gateway.errors import Refused

LABELS = {
    "secrets": "SECRET",
    "emails": "EMAIL",
    "phones": "PHONE",
    "cards": "CARD",
    "ibans": "IBAN",
    "deny": "DENIED",
}
"""What stands in the place of what was found."""


class Findings(list[Finding]):
    """What was found so far; the same rule in the same place is one finding with a count."""

    def note(self, rule: str, action: str, where: str, *, score: float | None = None) -> None:
        """Write one down."""
        for place, known in enumerate(self):
            if known.rule == rule and known.where == where:
                self[place] = replace(known, count=known.count + 1)
                return
        self.append(Finding(rule=rule, action=action, where=where, score=score))


class Judge:
    """One policy's actions, for one request.

    Args:
        actions: By the name of the detector.
        fail_closed: Whether a detector that raises blocks.
    """

    __slots__ = ("_actions", "_fail_closed", "findings")

    def __init__(self, actions: Mapping[str, GuardAction], *, fail_closed: bool) -> None:
        self._actions = actions
        self._fail_closed = fail_closed
        self.findings = Findings()

    def failed(self, where: str) -> None:
        """A detector raised. Raises :class:`Refused` where that blocks."""
        self.findings.note("guard.failed", "block" if self._fail_closed else "flag", where)
        if self._fail_closed:
            raise Refused(
                "blocked", f"A guardrail failed at {where}; this route lets nothing pass unseen.", param=where
            )

    def block(self, rule: str, where: str, why: str = "", *, score: float | None = None) -> Refused:
        """Note it, and say it: the caller raises what this returns. Never says what was found."""
        self.findings.note(rule, "block", where, score=score)
        return Refused(
            "blocked", f"Blocked by a guardrail ({rule}) at {where}.{why and ' ' + why}", param=where, code=rule
        )

    def note(self, spans: Sequence[Span], where: str) -> list[Span]:
        """Note what was found; what of it has to be replaced, merged where it overlaps.

        Raises:
            Refused: The policy blocks one of them.
        """
        to_replace: list[Span] = []
        outer, outer_action = Span(0, 0, ""), ""
        for span in spans:
            action = self._actions[span.rule.partition(".")[0]]
            if span.end <= outer.end and action == outer_action and action != "block":
                continue  # part of what was found already: the digits of an account number are no telephone number
            if span.end > outer.end:
                outer, outer_action = span, action
            if action == "block":
                raise self.block(span.rule, where)
            self.findings.note(span.rule, action, where)
            if action == "flag":
                continue
            if to_replace and span.start < to_replace[-1].end:
                last = to_replace.pop()
                to_replace.append(Span(last.start, max(last.end, span.end), last.rule))
            else:
                to_replace.append(span)
        return to_replace


def label(rule: str) -> str:
    """The word in the placeholder of what a rule found."""
    return LABELS[rule.partition(".")[0]]


def rewrite(text: str, spans: Sequence[Span], write: Callable[[Span, str], str]) -> str:
    """The text with each span replaced by what ``write`` makes of it. Spans are in order and do not overlap."""
    pieces, done = [], 0
    for span in spans:
        pieces.append(text[done : span.start])
        pieces.append(write(span, text[span.start : span.end]))
        done = span.end
    pieces.append(text[done:])
    return "".join(pieces)


def spoken(text: str, *, as_json: bool) -> str:
    """What was found, as a program would read it: without JSON's escapes where it stood inside a JSON string."""
    if not as_json or "\\" not in text:
        return text
    try:
        value = json.loads(f'"{text}"', strict=False)
    except ValueError:
        return text
    return str(value)
