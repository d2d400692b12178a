"""What is wrong with a post, told so that it can be mended without looking anything up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """One thing that keeps a post from being published."""

    file: str
    """As the author knows it: relative to the project, ``content/posts/flapping.md``."""
    line: int
    """From 1; 0 where the file as a whole is meant."""
    message: str
    """What is wrong, with the offending text."""
    remedy: str
    """What to do, in the imperative."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}; {self.remedy}"
