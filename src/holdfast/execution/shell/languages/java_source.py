"""Which class of a Java source is to be started, read from its text as far as that takes.

The launcher wants the name of a class, and javac wants a public class to be in a file of its name. Both are
read here with comments and literals blanked out, so that a brace in a string counts for nothing. A text that this
misreads is still judged by javac: the worst outcome is its error message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NOISE: Final = re.compile(
    r'//[^\n]*|/\*.*?(?:\*/|\Z)|"""(?:\\.|[^\\])*?(?:"""|\Z)|"(?:\\.|[^"\\\n])*"?|\'(?:\\.|[^\'\\\n])*\'?', re.DOTALL
)
_TOKEN: Final = re.compile(
    r"[{}]"
    r"|\bpackage\s+(?P<package>[\w.]+)\s*;"
    r"|\b(?P<public>public\s+)?(?:(?:abstract|final|sealed|non-sealed|strictfp)\s+)*"
    r"(?:class|enum|record|interface)\s+(?P<type>\w+)"
    r"|\bvoid\s+main\s*\((?P<main>)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JavaSource:
    """What was read."""

    package: str = ""
    public: str | None = None
    """The public class at the top level."""
    main: str | None = None
    """The first class at the top level that has a method ``main``."""

    def start(self, stem: str) -> str:
        """The class to start, with its package; ``stem`` is the file's name without ``.java``."""
        name = self.main or self.public or stem
        return f"{self.package}.{name}" if self.package else name


def read(text: str) -> JavaSource:
    """Read a source text."""
    package, public, main, current = "", None, None, None
    depth = 0
    for token in _TOKEN.finditer(_NOISE.sub(" ", text)):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
        elif token["package"]:
            package = package or token["package"]
        elif token["type"]:
            if depth == 0:
                current = token["type"]
                if token["public"] and public is None:
                    public = current
        elif depth == 1 and main is None:
            main = current
    return JavaSource(package=package, public=public, main=main)
