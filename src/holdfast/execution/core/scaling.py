"""How many workers are wanted, for an orchestrator that starts and stops them. Pure.

::

    needed = ceil(backlog seconds of one worker / target_backlog), at least 1 while anything is queued,
             at least the workers that run jobs, from min_workers to max_workers

``backlog seconds of one worker`` is the queued CPU time over what one worker drains per second, so that N workers
work off the queue in about ``target_backlog``. What is wanted follows what is needed like this:

- up from zero at once, since a queue without workers only grows;
- further up when the last change is ``up_cooldown`` ago, so that those who were just started count before more are;
- down when less was needed for ``down_cooldown`` without a break, and then to the most that was needed meanwhile, so
  that a queue that is empty between two bursts stops nobody;
- never below the workers that run jobs. They are there, so this is no start that a cooldown could be for.

``max_workers`` holds even against running jobs; then there are no more of them to keep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from holdfast.execution.core.ports import QueueState
from holdfast.execution.core.settings import ScalingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingState:
    """What has to be remembered between two looks. Times are those of ``now``."""

    wanted: int
    changed: float
    """When ``wanted`` changed last."""
    less_since: float | None = None
    """Since when fewer were needed without a break."""
    most_since: int = 0
    """The most that was needed since then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What an orchestrator reads."""

    wanted_workers: int
    needed_workers: int
    """Without hysteresis and cooldown."""
    workers: int
    """That are there."""
    backlog_s: float
    """How long the queue takes to drain at the present rate."""
    oldest_s: float
    queued: int
    running: int
    why: str
    """``steady``, ``up``, ``from zero``, ``down``, ``up cooldown``, ``down cooldown``, ``bounds``."""


def scale(
    state: ScalingState | None, queue: QueueState, *, busy_workers: int, now: float, settings: ScalingSettings
) -> tuple[ScalingState, Signal]:
    """Look at the queue once; call it every few seconds.

    Args:
        state: What this function returned the last time; ``None`` at the start, which then wants those that are there.
        queue: The figures.
        busy_workers: Workers with at least one running job.
        now: Seconds since the epoch, so that another process can go on with the state.
        settings: Bounds, target and cooldowns.
    """
    needed = _needed(queue, busy_workers, settings)
    if state is None:
        state = ScalingState(wanted=_bounded(max(needed, queue.workers), settings), changed=now - settings.up_cooldown)
    state, why = _follow(
        replace(state, wanted=max(state.wanted, _bounded(busy_workers, settings))), needed, now, settings
    )
    return state, Signal(
        wanted_workers=state.wanted,
        needed_workers=needed,
        workers=queue.workers,
        backlog_s=queue.backlog_us / queue.drain_us_per_s if queue.drain_us_per_s > 0 else 0.0,
        oldest_s=queue.oldest_s,
        queued=queue.queued,
        running=queue.running,
        why=why,
    )


def _needed(queue: QueueState, busy_workers: int, settings: ScalingSettings) -> int:
    if queue.workers and queue.drain_us_per_s > 0:
        us_per_s = queue.drain_us_per_s / queue.workers
    else:
        us_per_s = settings.slots_per_worker * 1e6
    backlog_s = queue.backlog_us / us_per_s
    return _bounded(max(math.ceil(backlog_s / settings.target_backlog), busy_workers, int(queue.queued > 0)), settings)


def _follow(state: ScalingState, needed: int, now: float, settings: ScalingSettings) -> tuple[ScalingState, str]:
    allowed = _bounded(state.wanted, settings)
    if allowed != state.wanted:  # the settings changed
        return ScalingState(wanted=allowed, changed=now), "bounds"
    if needed > state.wanted:
        state = replace(state, less_since=None, most_since=0)
        if state.wanted == 0:
            return ScalingState(wanted=needed, changed=now), "from zero"
        if 0 <= now - state.changed < settings.up_cooldown:
            return state, "up cooldown"
        return ScalingState(wanted=needed, changed=now), "up"
    if needed == state.wanted:
        return replace(state, less_since=None, most_since=0), "steady"
    most = max(needed, state.most_since)
    if state.less_since is None or state.less_since > now:  # the first time, or the clock was set back
        return replace(state, less_since=now, most_since=most), "down cooldown"
    if now - state.less_since < settings.down_cooldown:
        return replace(state, most_since=most), "down cooldown"
    # What is needed now may be less still: for that a cooldown of its own begins.
    less_since = now if needed < most else None
    return ScalingState(wanted=most, changed=now, less_since=less_since, most_since=needed), "down"


def _bounded(workers: int, settings: ScalingSettings) -> int:
    return min(max(workers, settings.min_workers), settings.max_workers)
