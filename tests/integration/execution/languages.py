"""Languages as the API knows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NoDefaults:
    wall: float | None = None
    cpu: float | None = None
    memory: int | None = None
    processes: int | None = None


@dataclass(frozen=True)
class Known:
    title: str
    file: str
    aliases: tuple[str, ...] = ()
    heavy: bool = False
    packages: str = "something"
    limits: NoDefaults = NoDefaults()


LANGUAGES = {
    "cpp": Known("C++", "main.cpp", aliases=("c++",), heavy=True, limits=NoDefaults(memory=512 * 2**20)),
    "python": Known("Python", "main.py", aliases=("py",)),
}
