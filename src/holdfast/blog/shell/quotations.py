"""The words of the repository, to tell code that is quoted from code that was made up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FOLDERS: Final = ("docs", "examples", "scripts", "src")
FILES: Final = ("Makefile", "pyproject.toml", "holdfast.yaml")
SUFFIXES: Final = frozenset({".cfg", ".conf", ".md", ".py", ".sh", ".toml", ".yaml", ".yml"})
"""Programs, configuration and documentation. Tests and evidence hold every number there is; posts and the README are
what is judged."""
_LARGEST: Final = 1 << 20


class Quotations:
    """Lines of the repository that hold a number, read when the first of them is asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: list[str] | None = None
        self._known: dict[str, bool] = {}

    def quoted(self, code: str) -> bool:
        """Whether each line of the code occurs in one and the same file, as whole words, spaces aside.

        In one file, because ``rise: 5`` is found somewhere in any repository that has a ``rise``.
        """
        lines = [" ".join(line.split()) for line in code.split("\n") if line.strip()]
        wanted = "\n".join(lines)
        known = self._known.get(wanted)
        if known is None:
            known = self._known[wanted] = self._occur(lines)
        return known

    def _occur(self, lines: list[str]) -> bool:
        # A lone number is no quotation of anything.
        if not lines or not all(any(character.isalpha() for character in line) for line in lines):
            return False
        if self._files is None:
            self._files = [text for path in self._paths() if (text := _with_numbers(path))]
        wanted = [re.compile(rf"(?<![\w.]){re.escape(line)}(?![\w%])(?![.,:]\d)") for line in lines]
        return any(all(line.search(text) for line in wanted) for text in self._files)

    def _paths(self) -> Iterator[Path]:
        for name in FILES:
            if (path := self._root / name).is_file():
                yield path
        for folder in FOLDERS:
            for path in sorted((self._root / folder).rglob("*")):
                if path.suffix in SUFFIXES and path.is_file() and path.stat().st_size <= _LARGEST:
                    yield path


def _with_numbers(path: Path) -> str:
    """The lines of a file that hold a number, with single spaces."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return "\n".join(" ".join(line.split()) for line in re.findall(r"^.*\d.*$", text, re.MULTILINE))
