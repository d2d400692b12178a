"""What has to be known of a language to accept a job in it."""

from __future__ import annotations

from typing import Protocol


class Defaults(Protocol):
    """Limits of a language that differ from the general ones; ``None`` where they do not."""

    @property
    def wall(self) -> float | None:
        """Seconds."""
        ...

    @property
    def cpu(self) -> float | None:
        """Seconds."""
        ...

    @property
    def memory(self) -> int | None:
        """Bytes."""
        ...

    @property
    def processes(self) -> int | None:
        """Processes and threads."""
        ...


class Language(Protocol):
    """A language that a job may name; whether a worker can run it is another question."""

    @property
    def title(self) -> str:
        """What people call it."""
        ...

    @property
    def file(self) -> str:
        """The file that ``source`` becomes, and the one that is started when none is named."""
        ...

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names that a job may use."""
        ...

    @property
    def heavy(self) -> bool:
        """Whether its jobs count as heavy, as those do that have to be compiled."""
        ...

    @property
    def packages(self) -> str:
        """What to install on a worker that does not offer it."""
        ...

    @property
    def limits(self) -> Defaults:
        """Its own defaults."""
        ...
