"""``holdfast doctor``: findings as a table or as JSON."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

from holdfast.app.config import load
from holdfast.app.doctor import examine
from holdfast.app.doctor_execution import examine_execution


def report(file: Path | None, *, as_json: bool) -> int:
    """Print the findings. Returns 1 if one of them keeps Holdfast from running here."""
    config = None if file is None else load(file, ports=False).config
    findings = [*examine(config), *asyncio.run(examine_execution(config))]
    failed = any(finding.level == "fail" for finding in findings)
    if as_json:
        print(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in findings]}, indent=2))
        return int(failed)
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        line = Text(f"{finding.level:<5}", style={"ok": "green", "warn": "yellow", "fail": "bold red"}[finding.level])
        line.append(f"{finding.name:<{width}}  {finding.detail}", style="default")
        if finding.remedy:
            line.append(f"; {finding.remedy}", style="default")
        console.print(line)
    return int(failed)
