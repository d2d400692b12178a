"""The ``store:`` section of ``holdfast.yaml``."""

from __future__ import annotations

from holdfast.kernel import Duration
from holdfast.kernel.settings import Section


class StoreSettings(Section, frozen=True):
    """Where records and queues are kept."""

    url: str = "sqlite:holdfast.db"
    """``sqlite:PATH``, or ``postgresql://USER:PASSWORD@HOST/DATABASE`` (version 15 or newer)."""
    group_commit: Duration = Duration(0.002)
    """Longest wait for other writes to be committed with."""
    connections: int = 4
    """PostgreSQL: connections that write and read."""
    deadline: Duration = Duration(10.0)
    """A read or write that takes longer fails as unavailable."""
    pending: int = 10_000
    """Writes that may wait; one more is refused as unavailable."""
