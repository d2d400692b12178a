"""Leases: how long a worker may be silent, and what becomes of a job whose worker was. Pure.

::

    claim --renew every ``renew``--> claim
      |
      +-- silent for ``duration`` ----+
      +-- given back (counts) --------+-- attempts left --> again, after a backoff
      |                               +-- none ----------> dead letter, with the reason
      +-- given back (orderly shutdown, counts=False) ---> again at once, the attempt does not count

Workers renew through the API. After it was down nobody could renew, so no lease expires within one ``duration`` of its
start: else every restart longer than a lease would run all jobs twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from holdfast.execution.core.settings import LeaseSettings
from holdfast.resilience import full_jitter

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Back to the queue; not started before this time."""

    not_before: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """To the dead letters."""

    reason: str


AfterLoss: TypeAlias = Again | Dead


def after_loss(
    attempt: int,
    *,
    reason: str,
    now: float,
    rng: Random,
    settings: LeaseSettings,
    counts: bool = True,
) -> AfterLoss:
    """What becomes of a job whose claim was lost or given back.

    Args:
        attempt: Number of that claim, from 1.
        reason: For the dead letter, like ``worker w1 was silent for 15s``.
        now: Seconds since the epoch.
        rng: Source of chance.
        settings: Attempts, and between which bounds the backoff doubles.
        counts: ``False`` after an orderly shutdown: no attempt was used up, and nothing speaks for waiting.
    """
    if not counts:
        return Again(not_before=now)
    if attempt >= settings.attempts:
        tried = "1 attempt" if attempt == 1 else f"{attempt} attempts"
        return Dead(reason=f"{reason} ({tried} of {settings.attempts})")
    wait_s = full_jitter(attempt - 1, rng, base_s=settings.backoff_min, cap_s=settings.backoff_max)
    return Again(not_before=now + wait_s)


def expires(now: float, settings: LeaseSettings) -> float:
    """Until when a lease holds that is given or renewed now."""
    return now + settings.duration


def expired_before(now: float, *, started: float, settings: LeaseSettings) -> float | None:
    """Leases that ended at or before this time are lost; ``None`` while nobody may judge.

    Args:
        now: Seconds since the epoch.
        started: When this API process was able to take renewals; on the same clock. Later than ``now`` if the clock
            was set back, which is taken for a start just now.
        settings: For the duration, which is the grace as well.
    """
    return now if now - started >= settings.duration else None
