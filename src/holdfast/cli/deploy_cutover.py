"""Cut-overs, as the command line shows them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from holdfast.app.workloads import load_cutover
from holdfast.deploy.core.cutover.plan import plan
from holdfast.deploy.core.cutover.steps import CutoverPlan


def show(config: Path) -> CutoverPlan:
    """The plan of a file."""
    return plan(load_cutover(config))


def plan_json(move: CutoverPlan) -> dict[str, Any]:
    """All of it, for machines."""
    return {
        "name": move.request.name,
        "least_s": move.duration_s,
        "steps": [
            {
                "id": step.id,
                "title": step.title,
                "why": step.why,
                "commands": list(step.commands),
                "checks": [{"command": one.command, "expects": one.expects} for one in step.checks],
                "abort": list(step.abort),
                "back": None if step.back is None else {"commands": list(step.back.commands)},
                "wait_s": step.wait_s,
                "percent": step.percent,
            }
            for step in move.steps
        ],
        "files": dict(move.files),
    }


def write(move: CutoverPlan, directory: Path) -> None:
    """The files that the commands name, each completely or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in move.files.items():
        descriptor, draft = tempfile.mkstemp(dir=directory, prefix=".", suffix=".new")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        Path(draft).chmod(0o644)
        Path(draft).replace(directory / name)


def rehearse(move: CutoverPlan, zone_name: str) -> None:
    """Print what each step left in the zone, and whether it could be taken back."""
    from holdfast.deploy.shell.cutover import dry_run

    for one in dry_run(move, zone_name):
        back = "and back" if one.undone else "no way back, as planned"
        print(f"{one.step:<16} {len(one.records)} records, {back}")
    print("rehearsed: every step did what the plan says, and every way back led to the records of the start")
