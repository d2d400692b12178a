"""``holdfast check``: the verdict on a file, and what is in force if it is sound."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from holdfast.app.config import load
from holdfast.app.diagnostics import ConfigError
from holdfast.app.effective import effective, render
from holdfast.gateway import GatewaySettings, budgets, expected
from holdfast.netpulse import NetpulseSettings, expectations


def check(file: Path, *, as_json: bool, ports: bool) -> int:
    """Print the effective configuration, or every problem. Returns 0 or 2."""
    try:
        loaded = load(file, ports=ports)
    except ConfigError as error:
        if not as_json:
            raise
        problems = [diagnostic.record(error.file) for diagnostic in error.diagnostics]
        print(json.dumps({"ok": False, "problems": problems}, indent=2, ensure_ascii=False))
        return error.exit_code
    if as_json:
        found = {"ok": True, "file": loaded.file, "config": effective(loaded)}
        if loaded.config.netpulse is not None:
            found["detection"] = [each.record() for each in expectations(loaded.config.netpulse)]
        if loaded.config.gateway is not None:
            found["costs"] = [each.record() for each in asyncio.run(expected(loaded.config.gateway))]
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        sys.stdout.write(render(loaded))
        if loaded.config.netpulse is not None:
            sys.stdout.write(_detection(loaded.config.netpulse))
        if loaded.config.gateway is not None:
            sys.stdout.write(_costs(loaded.config.gateway))
    return 0


def _detection(settings: NetpulseSettings) -> str:
    """What to expect of the monitors: comments, so that the output stays a configuration."""
    found = expectations(settings)
    if not found:
        return ""
    width = max(len(each.monitor) for each in found)
    lines = ["", "# Expected of the monitors, by playing an outage in which every probe fails at its timeout:"]
    lines += [f"#   {each.monitor:<{width}}  {each.sentence()}" for each in found]
    return "\n".join(lines) + "\n"


def _costs(settings: GatewaySettings) -> str:
    """What models may cost: comments, as above."""
    found = asyncio.run(expected(settings))
    if not found:
        return ""
    named = [(f"{each.model} at {each.deployment}", each.sentence()) for each in found]
    width = max(len(name) for name, _ in named)
    lines = ["", "# Expected of the models, an attempt that reads its whole context and writes all that it may:"]
    lines += [f"#   {name:<{width}}  {sentence}" for name, sentence in named]
    lines += ["# Budgets:", *(f"#   {each}" for each in budgets(settings) or ["none: nothing bounds what is spent"])]
    return "\n".join(lines) + "\n"
