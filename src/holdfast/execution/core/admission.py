"""Whether a job is queued or refused: by the time that the queue takes to drain, not by its length. Pure.

==================  ======  ==========================================================================
reason              status  refused when
==================  ======  ==========================================================================
``submit_rate``     429     the tenant's :class:`~holdfast.resilience.RateLimit` is used up
``storage``         503     the store's file system has less than ``min_free`` left
``daily_cpu``       429     what the tenant used today and has queued is ``daily_cpu`` or more
``tenant_backlog``  429     its queue takes longer than ``tenant_backlog`` at its share of the drain rate
``total_backlog``   503     all queues take longer than ``total_backlog`` at the drain rate
==================  ======  ==========================================================================

Rules:

- What is in front of a job decides, not the job itself. So where nothing is queued one job is always
  accepted, however long it takes.
- ``Retry-After`` is the time in which the queue drains to its bound, stretched by up to half at random: never
  earlier than it could help to come back, and not all at once.
- A tenant is told of its own backlog, which it can do something about, before that of all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from holdfast.execution.core.ports import Refused
from holdfast.execution.core.settings import AdmissionSettings
from holdfast.resilience import retry_after_s

if TYPE_CHECKING:
    from random import Random

_DAY_S: Final = 86_400
_LONGEST_S: Final = 3_600
"""Longest ``Retry-After`` of a backlog: after an hour the figures are others anyway."""
_STORAGE_S: Final = 60
"""Room comes back when results expire or somebody makes some; nobody can compute when."""
_NEW_DAY_S: Final = 300
"""Those who used up their day come back spread over so long after midnight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the decision about a tenant's next job rests on."""

    tenant_backlog_us: int
    """Estimated CPU time of its queued jobs, those accepted earlier in the same submission included."""
    total_backlog_us: int
    """The same of all tenants."""
    drain_us_per_s: float
    """From :func:`drain_us_per_s`."""
    weight: float
    other_weights: float = 0.0
    """Sum over the other tenants that have jobs queued or running."""
    used_today_us: int = 0
    """Charged to the tenant since midnight (UTC)."""
    free_bytes: int | None = None
    """Room in the store's file system; ``None`` when it is not on this machine."""


def admit(load: Load, *, now: float, rng: Random, settings: AdmissionSettings) -> Refused | None:
    """``None`` when one more job may be queued; else why not, with the figures, and when to come back.

    Args:
        load: The figures.
        now: Seconds since the epoch, which tell how long the day still is.
        rng: Source of chance.
        settings: The bounds.
    """
    if load.free_bytes is not None and load.free_bytes < settings.min_free:
        room = f"{load.free_bytes / 2**20:.0f} MiB"
        return Refused(
            reason="storage",
            detail=f"the store has {room} of room left; jobs are accepted from {settings.min_free} on",
            retry_after_s=_STORAGE_S * (1.0 + rng.random() / 2),
        )
    if settings.daily_cpu and load.used_today_us + load.tenant_backlog_us >= settings.daily_cpu * 1e6:
        return Refused(
            reason="daily_cpu",
            detail=f"{load.used_today_us / 1e6:.1f} s of CPU time used today (UTC) and "
            f"{load.tenant_backlog_us / 1e6:.1f} s queued; {settings.daily_cpu:.0f} s are allowed",
            retry_after_s=_DAY_S - now % _DAY_S + _NEW_DAY_S * rng.random(),
        )
    share = load.weight / (load.weight + load.other_weights)
    return _too_long(
        "tenant_backlog", load.tenant_backlog_us, load.drain_us_per_s * share, settings.tenant_backlog, rng
    ) or _too_long("total_backlog", load.total_backlog_us, load.drain_us_per_s, settings.total_backlog, rng)


def _too_long(
    reason: Literal["tenant_backlog", "total_backlog"], backlog_us: int, us_per_s: float, bound_s: float, rng: Random
) -> Refused | None:
    excess_us = backlog_us - bound_s * us_per_s
    if backlog_us <= 0 or excess_us <= 0:
        return None
    whose, rate = ("your queue", "your share of it") if reason == "tenant_backlog" else ("the queue", "all of it")
    return Refused(
        reason=reason,
        detail=f"{whose} holds {backlog_us / 1e6:.1f} s of CPU time, which takes {backlog_us / us_per_s:.0f} s "
        f"at {us_per_s / 1e6:.2f} s per second ({rate}); the bound is {bound_s:.0f} s",
        retry_after_s=retry_after_s(math.ceil(excess_us), us_per_s, rng, longest_s=_LONGEST_S),
    )


_PRIOR_S: Final = 10.0
"""For how long a measurement must have lasted to weigh as much as the assumption. Jobs are charged when they
end, so the first seconds of a burst of long ones show nothing, and a rate of nothing would refuse everybody."""


def drain_us_per_s(charged_us: int, busy_s: float, slots: int) -> float:
    """How much CPU time the slots work off per second when all of them are busy; more than 0.

    Measured only while there was work: a queue that is idle most of the time charges little, which says nothing of how
    fast it could be.

    Args:
        charged_us: Charged of late, a minute or so.
        busy_s: For how long the slots were busy to charge that, all together over their number.
        slots: Slots of live workers. Each is taken for one CPU until the measurement says otherwise; with none,
            one is assumed, because a queue without workers has to take jobs for workers to be started.
    """
    capacity = max(1, slots) * 1e6
    return (charged_us + capacity * _PRIOR_S) / (busy_s + _PRIOR_S)


def too_fast(wait_s: float, rng: Random, settings: AdmissionSettings) -> Refused:
    """The refusal for a tenant whose :class:`~holdfast.resilience.RateLimit` of submissions said ``wait_s``."""
    return Refused(
        reason="submit_rate",
        detail=f"more than {settings.submits_per_s:g} jobs per second after {settings.submit_burst} at once",
        retry_after_s=wait_s * (1.0 + rng.random() / 2),
    )
