"""The ``store:`` section of ``holdfast.yaml``."""

from __future__ import annotations

from holdfast.kernel import Duration
from holdfast.kernel.settings import Section


class StoreSettings(Section, frozen=True):
    """Where records and queues are kept."""

    url: str = "sqlite:holdfast.db"
    """``sqlite:PATH``, or ``postgresql://USER:PASSWORD@HOST/DATABASE`` (version 15 or newer)."""
    connections: int = 4
    """PostgreSQL: half of them write, half read; one more listens. SQLite has one writer and a few readers."""
    deadline: Duration = Duration(10.0)
    """A statement that takes longer fails as unavailable; SQLite waits half of it for another process's lock."""
    pending: int = 10_000
    """Writes that may wait (and as many reads); one more is refused as unavailable."""
