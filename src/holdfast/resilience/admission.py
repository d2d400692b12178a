"""How much may be in flight, who waits, and what to say to those who may not.

Four parts that a pool combines:

- :class:`WaitQueue` holds requests until a place is free or their time is up;
- :class:`GradientLimit` finds out how many places a backend really has;
- :func:`capacity_limit` bounds a pool of which only a part is left;
- :func:`retry_after_s` tells a client that was turned away when to come back.

A full queue refuses at once: waiting longer than the client does only makes every later
request late as well.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from random import Random

T = TypeVar("T")


class WaitQueue(Generic[T]):
    """Bounded first-in-first-out queue whose entries have deadlines.

    An entry leaves exactly once: through :meth:`pop` before its deadline, through
    :meth:`expired` from its deadline on, or through :meth:`remove`. Entries that
    :meth:`pop` passed over keep their place until :meth:`expired` hands them out, because
    somebody still has to answer them; call it regularly.

    Entries are told apart by hash and equality, and one entry can wait only once.

    Args:
        bound: Most entries that may wait, 0 or more. 0 refuses everything.

    Raises:
        ValueError: ``bound`` is negative.
    """

    __slots__ = ("_bound", "_earliest", "_overdue", "_waiting")

    def __init__(self, bound: int) -> None:
        if bound < 0:
            raise ValueError(f"the bound of a queue must be 0 or more, got {bound}")
        self._bound = bound
        # Ordered dictionaries remove from either end and from the middle in constant time.
        self._waiting: OrderedDict[T, float] = OrderedDict()
        self._overdue: dict[T, float] = {}
        self._earliest = math.inf
        """No entry has an earlier deadline; spares :meth:`expired` the walk when nothing is due."""

    def __len__(self) -> int:
        """Entries that have not left, overdue ones included."""
        return len(self._waiting) + len(self._overdue)

    def push(self, item: T, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds); ``False`` when the queue is full.

        Raises:
            ValueError: The same item waits already.
        """
        if item in self._waiting or item in self._overdue:
            raise ValueError(f"{item!r} waits already; take it out with remove() before it is pushed again")
        if len(self) >= self._bound:
            return False
        self._waiting[item] = deadline
        self._earliest = min(self._earliest, deadline)
        return True

    def pop(self, now: float) -> T | None:
        """Take the entry that waited longest and still has time; ``None`` when there is none."""
        while self._waiting:
            item, deadline = self._waiting.popitem(last=False)
            if deadline > now:
                return item
            self._overdue[item] = deadline
        return None

    def remove(self, item: T) -> bool:
        """Take this entry out wherever it is; ``False`` when it is not waiting."""
        return self._waiting.pop(item, None) is not None or self._overdue.pop(item, None) is not None

    def expired(self, now: float) -> list[T]:
        """Take out every entry whose deadline has come, oldest first."""
        if now < self._earliest and not self._overdue:
            return []
        due = [item for item, deadline in self._waiting.items() if deadline <= now]
        for item in due:
            del self._waiting[item]
        self._earliest = min(self._waiting.values(), default=math.inf)
        late = [*self._overdue, *due]
        self._overdue.clear()
        return late


_WINDOW_S: Final = 0.25
"""Shortest time between two adjustments: long against a service time, short against an overload."""

_WINDOW_SAMPLES: Final = 30
"""Fewest answers between two adjustments. With 10 (Netflix ``WindowedLimit``) the mean of
exponential latencies is off by a third every other time."""

_TOLERANCE: Final = 1.5
"""Latency may be this much above the baseline before the limit falls (Netflix ``Gradient2Limit``)."""

_STEEPEST: Final = 0.5
"""One adjustment at most halves the limit (Netflix ``Gradient2Limit``)."""

_SMOOTHING: Final = 0.2
"""Share of a new limit in the limit (Netflix ``Gradient2Limit``)."""

_FAILURE_COST: Final = 0.5
"""A window of nothing but failures halves the limit."""

_BASELINE_FALL: Final = 0.1
"""Weight of a window with a latency below the baseline: one lucky window proves nothing."""

_BASELINE_RISE_S: Final = 10.0
"""Time constant with which the baseline follows a higher latency while little is in flight."""

_PROBE_S: Final = 30.0
"""A limit that is held down by latency is halved for two windows this often, to see what latency is without a queue."""


class GradientLimit:
    """Adaptive concurrency: the limit follows the gradient of latency.

    A server with free places answers in the same time however many requests it has; once
    they queue, latency rises with their number. So, for each window of answers::

        gradient = clamp(1.5 * baseline / mean latency, 0.5, 1) * (1 - 0.5 * share of failures)
        target   = limit * gradient + sqrt(limit)
        limit    = 0.8 * limit + 0.2 * target

    ``sqrt(limit)`` is the queue that is tolerated, and the probe that lets the limit grow. It
    grows only when at least half of it was in use, as an idle backend says nothing about its
    capacity.

    The baseline follows latency down, and up while less than half of the limit is in use: that
    rise cannot be our own doing. If latency holds the limit down for long, the service may
    simply have become slower; so every 30 s the limit is halved for two windows, and what
    latency is then is the new baseline. Netflix's ``Gradient2Limit`` has a long-term mean
    instead, which a lasting overload drags up with it; Envoy's ``adaptive_concurrency``
    measures every minute at a concurrency of 3, whether in doubt or not. A limiter that
    starts in the middle of an overload takes it for normal, so ``initial`` should be low.

    A failure never lowers the baseline: backends are at their fastest when they refuse.

    Sources: Netflix ``concurrency-limits`` (``Gradient2Limit``, ``WindowedLimit``); Envoy,
    "Adaptive Concurrency Filter" (headroom as square root of the limit).

    Args:
        initial: Limit before anything is known.
        lowest: The limit never falls below this; 1 or more.
        highest: The limit never rises above this.

    Raises:
        ValueError: Not ``1 <= lowest <= initial <= highest``.
    """

    __slots__ = (
        "_baseline_s",
        "_estimate",
        "_failures",
        "_highest",
        "_latency_sum_s",
        "_lowest",
        "_most_in_flight",
        "_probe_due",
        "_probing",
        "_successes",
        "_window_began",
        "limit",
    )

    limit: int
    """How many requests may be in flight."""

    def __init__(self, *, initial: int = 20, lowest: int = 4, highest: int = 1024) -> None:
        if not 1 <= lowest <= initial <= highest:
            raise ValueError(
                f"a gradient limit needs 1 <= lowest <= initial <= highest; got {lowest=}, {initial=}, {highest=}"
            )
        self.limit = initial
        self._estimate = float(initial)
        self._lowest = lowest
        self._highest = highest
        self._baseline_s = 0.0
        self._window_began = math.inf
        self._probe_due = -math.inf
        self._probing = 0
        """Windows of a probe that are left: the first one lets the queue drain, the second one measures."""
        self._successes = 0
        self._failures = 0
        self._latency_sum_s = 0.0
        self._most_in_flight = 0

    def sample(self, latency_s: float, in_flight: int, now: float, ok: bool) -> None:
        """Learn from one answer.

        Args:
            latency_s: Time from sending to the answer, seconds.
            in_flight: Requests in flight when it was sent, itself included.
            now: Monotonic seconds.
            ok: Whether it succeeded. A timeout or a refusal says that the limit is too high
                and nothing about latency.
        """
        if ok:
            self._successes += 1
            self._latency_sum_s += latency_s
        else:
            self._failures += 1
        if in_flight > self._most_in_flight:  # noqa: PLR1730 - the call to max() costs four times as much
            self._most_in_flight = in_flight
        elapsed_s = now - self._window_began
        if elapsed_s >= _WINDOW_S:
            if self._successes + self._failures >= _WINDOW_SAMPLES:
                self._adjust(now, elapsed_s)
                self._window_began = now
        elif self._window_began == math.inf:
            self._window_began = now

    def _adjust(self, now: float, elapsed_s: float) -> None:
        mean_s = self._latency_sum_s / self._successes if self._successes else 0.0
        failed_share = self._failures / (self._successes + self._failures)
        most_in_flight = self._most_in_flight
        self._successes = 0
        self._failures = 0
        self._latency_sum_s = 0.0
        self._most_in_flight = 0
        if self._probing:
            self._probing -= 1
            if not self._probing:
                self._baseline_s = mean_s or self._baseline_s
                self._probe_due = now + _PROBE_S
                self.limit = int(self._estimate)
            return
        half_used = 2 * most_in_flight >= self._estimate
        gradient = 1.0
        if mean_s > 0.0:
            if self._baseline_s == 0.0:
                self._baseline_s = mean_s
            elif mean_s < self._baseline_s:
                self._baseline_s += (mean_s - self._baseline_s) * _BASELINE_FALL
            elif not half_used:
                self._baseline_s += (mean_s - self._baseline_s) * elapsed_s / (elapsed_s + _BASELINE_RISE_S)
            gradient = max(_STEEPEST, min(1.0, _TOLERANCE * self._baseline_s / mean_s))
        if gradient < 1.0 and now >= self._probe_due:
            self._probing = 2
            self.limit = max(self._lowest, int(self._estimate / 2))
            return
        target = self._estimate * gradient * (1.0 - _FAILURE_COST * failed_share) + math.sqrt(self._estimate)
        if target < self._estimate or half_used:
            self._estimate += (target - self._estimate) * _SMOOTHING
            self._estimate = max(float(self._lowest), min(float(self._highest), self._estimate))
            self.limit = int(self._estimate)


def capacity_limit(best_in_flight: float, share_left: float, *, backends: int = 1, headroom: float = 1.25) -> int:
    """In-flight bound of a pool in panic, of which only a part is thought to be good.

    With fewer good backends than ``panic_threshold`` a pool sends to all of them again, since
    the suspicion may be wrong. If it is right, the good ones would drown in the whole load.
    By Little's law, what a pool carries at unchanged latency is proportional to its good
    backends, so::

        limit = ceil(best_in_flight * share_left * headroom), at least one per backend

    Args:
        best_in_flight: The most that the pool had in flight while it was well: a moving
            maximum, over all workers. 0 or more.
        share_left: Weight of the backends believed good over the weight of all, 0 to 1.
        backends: Backends in the pool. Each must be able to get one request at a time, or a
            pool that was given up entirely could never be seen to recover.
        headroom: Factor for what ``best_in_flight`` cannot know: it is what was asked of the
            pool, not what it could have carried.

    Returns:
        The bound over all workers, 1 or more.

    Raises:
        ValueError: An argument is out of range.
    """
    if best_in_flight < 0 or not 0 <= share_left <= 1 or backends < 1 or headroom <= 0:
        raise ValueError(
            "a capacity limit needs best_in_flight >= 0, share_left from 0 to 1, backends >= 1 and headroom > 0; "
            f"got {best_in_flight=}, {share_left=}, {backends=}, {headroom=}"
        )
    return max(backends, math.ceil(best_in_flight * share_left * headroom))


def retry_after_s(queued: int, drained_per_s: float, rng: Random, *, longest_s: int = 30) -> int:
    """Value of ``Retry-After`` for a request that was turned away (RFC 9110, 10.2.3).

    The time in which the queue would drain, stretched by up to half at random, so that those
    who were turned away together do not come back together.

    Args:
        queued: Requests that wait, 0 or more.
        drained_per_s: Requests that leave the queue per second; 0 when nothing moves.
        rng: Source of chance.
        longest_s: Upper bound in seconds, 1 or more.

    Returns:
        Whole seconds, from 1 to ``longest_s``.
    """
    stretch = 1.0 + rng.random() / 2
    if queued >= longest_s * drained_per_s:
        # Nobody knows how long it takes; half of the range keeps them spread.
        return max(1, math.ceil(longest_s * stretch / 1.5))
    return max(1, min(longest_s, math.ceil(queued / drained_per_s * stretch)))
