"""``holdfast check``: the verdict on a file, and what is in force if it is sound."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from holdfast.app.config import load
from holdfast.app.diagnostics import ConfigError
from holdfast.app.effective import effective, render


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
        print(json.dumps({"ok": True, "file": loaded.file, "config": effective(loaded)}, indent=2, ensure_ascii=False))
    else:
        sys.stdout.write(render(loaded))
    return 0
