"""How many of the faults that are seen in templates are found before they are deployed, and by whom.

Each fault is put into a fresh copy of a sound template. A checker has found it when it says something about the broken
copy that it does not say about the sound one: what it thinks of the rest does not count, for or against.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from holdfast.deploy.core.plan import Plan
from holdfast.deploy.core.rules import check
from holdfast.deploy.core.workload import Account, DeploySettings
from holdfast.deploy.shell.checks import Rendered, lint
from holdfast.deploy.shell.smoke import smoke_test
from holdfast.drills.deploy_held_out import EARLIER, HELD_OUT
from holdfast.drills.deploy_mutations import FAULTS, Fault
from holdfast.drills.deploy_scene import REGION, Template, scene
from holdfast.drills.errors import DrillError
from holdfast.drills.findings import CONTROL, Findings, Setting

CHECKOV: Final = "HOLDFAST_CHECKOV"
"""Path of the program, which is no package of a distribution."""
AT: Final = date(2026, 11, 22)
"""The day that rules with dates are held to, so that a record can be repeated."""
QUOTA_VCPU: Final = 32.0
WANTED: Final = 0.95
CHECKOV_LONGEST_S: Final = 600.0
_QUICK: Final = 12

Said = frozenset[tuple[str, ...]]
"""What a checker says of one template; only what differs from the sound one counts."""


class DeployFaults:
    """``holdfast drill run deploy-faults``."""

    name = "deploy-faults"
    title = "How many faults of a template are found before it is deployed, and by which checker?"
    packages = ("deploy", "drills", "evidence", "kernel")
    locks = ("runtime.txt", "dev.txt")

    async def run(self, setting: Setting) -> Findings:
        """Every checker on every fault, and on the sound template."""
        found = Findings(control_what="the same templates held to cfn-lint alone")
        step = max(1, len(FAULTS) // _QUICK)
        faults: dict[str, Sequence[Fault]] = {
            "seeded": FAULTS[::step] if setting.quick else tuple(FAULTS),
            "earlier": () if setting.quick else EARLIER,
            "held_out": () if setting.quick else HELD_OUT,
        }
        found.parameters |= {group: len(some) for group, some in faults.items()} | {"quota_vcpu": QUOTA_VCPU}
        checkers: dict[str, Callable[[Template], Said]] = {"holdfast": _rules, CONTROL: _lint}
        if setting.quick:
            found.notes.append("moto and checkov are left out of a quick run")
        else:
            checkers["moto"] = _moto
        _rules(scene())  # the first call imports what it needs, which is nobody's time
        for name, checker in checkers.items():
            setting.progress(f"deploy-faults: {'cfn-lint' if name == CONTROL else name}")
            await _measure(found, name, checker, faults)
        if not setting.quick:
            await _checkov(found, setting, faults)
        _judge(found, faults)
        return found


def _rules(template: Template) -> Said:
    settings = DeploySettings(account=Account(quotas={"ecs-fargate": QUOTA_VCPU}, app_runner_customer=False))
    plan = Plan(settings=settings, placements=(), unplaced=())
    return frozenset((one.rule, one.where) for one in check(template, region=REGION, at=AT, plan=plan))


def _lint(template: Template) -> Said:
    return frozenset((one.rule, one.where) for one in lint(_rendered(template)))


def _moto(template: Template) -> Said:
    return frozenset((problem,) for problem in smoke_test(template, region=REGION).problems)


def _rendered(template: Template) -> Rendered:
    return Rendered(name="scene", region=REGION, text=json.dumps(template))


def _broken(fault: Fault) -> Template:
    template = scene()
    fault.apply(template)
    return template


async def _measure(
    found: Findings, name: str, checker: Callable[[Template], Said], faults: Mapping[str, Sequence[Fault]]
) -> None:
    sound = await asyncio.to_thread(checker, scene())
    took: list[float] = []
    found.add(name, "said_of_sound", [len(sound)])
    for group, some in faults.items():
        hits = []
        for fault in some:
            began = time.perf_counter()
            said = await asyncio.to_thread(checker, _broken(fault))
            took.append((time.perf_counter() - began) * 1e3)
            hits.append(bool(said - sound))
        _keep_hits(found, name, group, some, hits)
    found.add(name, "check_ms", took)


def _keep_hits(found: Findings, name: str, group: str, faults: Sequence[Fault], hits: Sequence[bool]) -> None:
    """In the order of the faults, which the notes name where one was missed by us."""
    if not faults:
        return
    found.add(name, f"{group}_found", hits)
    missed = [fault.name for fault, hit in zip(faults, hits, strict=True) if not hit]
    if name == "holdfast" and missed:
        found.notes.append(f"missed by the rules ({group}): {', '.join(missed)}")


async def _checkov(found: Findings, setting: Setting, faults: Mapping[str, Sequence[Fault]]) -> None:
    program = shutil.which(os.environ.get(CHECKOV, ""))
    if program is None:
        found.notes.append(f"checkov was left out: name it in {CHECKOV} (pip install checkov, in a venv of its own)")
        return
    setting.progress("deploy-faults: checkov")
    directory = setting.directory / "templates"
    directory.mkdir()
    some = {f"{group}-{fault.name}": fault for group, all_of in faults.items() for fault in all_of}
    (directory / "sound.json").write_text(json.dumps(scene()))
    for name, fault in some.items():
        (directory / f"{name}.json").write_text(json.dumps(_broken(fault)))
    began = time.perf_counter()
    said = await _run_checkov(program, directory, setting.directory)
    took_ms = (time.perf_counter() - began) * 1e3
    sound = said.get("sound", frozenset())
    found.add("checkov", "said_of_sound", [len(sound)])
    for group, all_of in faults.items():
        hits = [bool(said.get(f"{group}-{fault.name}", frozenset()) - sound) for fault in all_of]
        _keep_hits(found, "checkov", group, all_of, hits)
    found.add("checkov", "check_ms", [took_ms / (len(some) + 1)])


async def _run_checkov(program: str, directory: Path, home: Path) -> dict[str, Said]:
    """Findings by template. It runs without the network: its own policies only."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LOG_LEVEL": "ERROR"}
    process = await asyncio.create_subprocess_exec(
        *(program, "-d", str(directory), "--framework", "cloudformation", "secrets"),
        *("-o", "json", "--compact", "--quiet", "--skip-download"),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(CHECKOV_LONGEST_S):
            output, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    try:
        answer: Any = json.loads(output)
    except ValueError as error:
        raise DrillError(f"checkov answered no JSON (exit {process.returncode}): {output[:200]!r}") from error
    said: dict[str, set[tuple[str, ...]]] = {}
    for part in answer if isinstance(answer, list) else [answer]:
        for one in part.get("results", {}).get("failed_checks", ()):
            name = Path(str(one["file_path"])).stem
            said.setdefault(name, set()).add((str(one["check_id"]), str(one["resource"])))
    return {name: frozenset(some) for name, some in said.items()}


def _judge(found: Findings, faults: Mapping[str, Sequence[Fault]]) -> None:
    names = ["holdfast", CONTROL]
    names += [name for name in ("checkov", "moto") if f"{name}.seeded_found" in found.samples]
    for name in names:
        for group, some in faults.items():
            if some:
                share = f"mean(${group}_found)"
                found.metric(name, f"{group}_share", share, unit="ratio", better="higher")
                found.metric(name, f"{group}_count", f"sum(${group}_found)", unit="", better="higher")
        found.metric(name, "said_of_sound", "sum($said_of_sound)", unit="", better="lower")
        found.metric(name, "check_ms", "mean($check_ms)", unit="ms", better="lower")
    found.claim("the rules find 95 % of the seeded faults", "holdfast.seeded_share", ">=", WANTED, in_quick=True)
    found.claim("they say nothing of a sound template", "holdfast.said_of_sound", "<=", 0, in_quick=True)
