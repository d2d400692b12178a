"""Who goes next: deficit round robin over tenants, cost counted in CPU microseconds. Pure.

The values below are all that a decision rests on. They come from the store in one transaction
and go back in the same one, so any process may take the decision, and a crash forgets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.execution.core.settings import FairnessSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A queued job that could be started now."""

    id: str
    cost_us: int
    """Its estimate."""
    order: float
    """Within a tenant the smallest goes first (submission time less what its priority is worth, in seconds)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantQueue:
    """One tenant that has queued jobs."""

    tenant: str
    weight: float
    deficit_us: int
    turn: int
    """Position in the round: the number of the decision that served it last; the smallest is the next."""
    fresh: bool
    """Was idle (nothing queued, nothing running) before these jobs came: goes next once."""
    running: int
    light: Sequence[Candidate]
    """In order; at least as many as there are free slots, if there are so many."""
    heavy: Sequence[Candidate]


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantState:
    """What has to be remembered of a tenant."""

    tenant: str
    deficit_us: int
    turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A job to start, and why it was this one."""

    id: str
    tenant: str
    heavy: bool
    cost_us: int
    why: str
    """``turn``, ``fresh``; for the log and for ``explain``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The outcome of one decision."""

    picks: tuple[Pick, ...]
    tenants: tuple[TenantState, ...]
    """Only those that changed."""
    turn: int
    """The number for the next decision."""


def schedule(
    tenants: Sequence[TenantQueue],
    *,
    free: int,
    slots: int,
    running_heavy: int,
    turn: int,
    settings: FairnessSettings,
) -> Schedule:
    """Choose jobs for ``free`` of ``slots`` slots. ``running_heavy`` counts over all tenants."""
    raise NotImplementedError
