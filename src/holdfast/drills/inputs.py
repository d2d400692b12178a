"""What the result of a drill depends on: the files whose change makes its record stale.

- Packages: every module and data file of those that the drill names. Which of their modules a started service really
  runs cannot be told from outside without guessing, and a record that is wrongly called current is worse than one that
  is run again for nothing.
- Of ``drills`` itself only the modules that the drill's own leads to, by imports (those inside functions too) and by
  names that are started as ``-m holdfast.drills.NAME``. What registers drills and shows records is left out: it
  measures nothing.
- The configurations of those peers that these modules name, and the lock files that the drill's processes run on.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

_PACKAGE: Final = "holdfast.drills"
_NAMED: Final = re.compile(r"\bholdfast\.drills\.([a-z_0-9]+)")
_NOT_MEASURING: Final = frozenset({"__init__", "catalog", "report", "results", "inputs"})
_DATA: Final = (".py", ".yaml", ".html", ".css", ".js", ".sql")
LOCKS: Final = ("runtime.txt",)
"""Of a drill that says nothing else. One whose checkers are development tools names ``dev.txt`` as well."""


class Measured(Protocol):
    """What is asked of a drill here."""

    @property
    def packages(self) -> Sequence[str]:
        """Paths below ``src/holdfast``; ``drills`` among them is narrowed as above, and always there."""
        ...


def inputs_of(drill: Measured, root: Path) -> list[Path]:
    """Every file below ``root`` that the result depends on, in order."""
    source = root / "src" / "holdfast"
    found = {
        path
        for package in drill.packages
        if package != "drills"
        for path in (source / package).rglob("*")
        if path.suffix in _DATA and "__pycache__" not in path.parts
    }
    modules = closure(type(drill).__module__, source / "drills")
    found |= modules
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(modules))
    found |= {path for path in (root / "benchmarks" / "peers").glob("*.cfg") if path.name in text}
    locks: Sequence[str] = getattr(drill, "locks", LOCKS)
    found |= {path for name in locks if (path := root / "requirements" / name).is_file()}
    return sorted(found)


def closure(module: str, directory: Path) -> set[Path]:
    """The module's file and those of ``holdfast.drills`` that it leads to. Empty for a module of elsewhere."""
    found: set[Path] = set()
    waiting = [module.removeprefix(f"{_PACKAGE}.")]
    while waiting:
        name = waiting.pop()
        path = directory / f"{name}.py"
        if name in _NOT_MEASURING or path in found or not path.is_file():
            continue
        found.add(path)
        waiting += _named(path.read_text(encoding="utf-8"))
    return found


def _named(text: str) -> set[str]:
    """Modules of this package that a source imports or starts."""
    names = set(_NAMED.findall(text))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == _PACKAGE:
            names |= {alias.name for alias in node.names}
    return names
