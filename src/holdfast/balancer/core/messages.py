"""What the master and its workers say to each other.

The master decides (health, breaker, damping, weights), the workers act (route, retry,
relay) and report. Frames are msgpack, length-prefixed, over a socket pair:

    master -> worker   Configure, Views, Switch, Ask, Drain
    worker -> master   Ready, Outcomes, Stats, Drained

A worker that reads end-of-file lost its master: it goes on with the last views it has,
long enough for a new master to take over, and then drains.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from holdfast.balancer.core.settings import BalancerSettings, StrategyName

FailureClass = Literal["connect", "reset", "timeout", "status", "protocol"]
"""Why an attempt failed: refused or unreachable; cut before the answer; per-try timeout;
a retryable status; an answer that is not HTTP."""


class BackendRef(msgspec.Struct, frozen=True, array_like=True):
    """A backend by name. Names survive a reload, indexes would not."""

    pool: str
    backend: str


class Endpoint(msgspec.Struct, frozen=True, array_like=True):
    """A backend that discovery found (listed ones are in the settings)."""

    pool: str
    backend: str
    url: str
    weight: float


class Configure(msgspec.Struct, frozen=True, tag="configure"):
    """Take these settings; everything that stays keeps its state and connections."""

    generation: int
    settings: BalancerSettings
    discovered: tuple[Endpoint, ...] = ()
    strategies: dict[str, StrategyName] = {}
    """Strategies switched at run time, by pool; they outlive a reload."""


class View(msgspec.Struct, frozen=True, array_like=True):
    """What a worker may send to one backend."""

    ref: BackendRef
    weight: float
    """Effective weight, 0 when out: configured x ramp x damping."""
    trials: int = 0
    """Half-open: live requests that this worker may have in flight there at once."""
    state: str = "up"
    """For logs and headers only: up, down, open, half_open, ramping, suppressed, drained, panic."""


class Views(msgspec.Struct, frozen=True, tag="views"):
    """New views of some backends; directly behind a ``Configure``, of all.

    A backend that the worker does not know (a reload has just added or removed it) is ignored.
    """

    views: tuple[View, ...]
    pool_limits: dict[str, int | None] = {}
    """Requests in flight by pool, over all workers, while it panics; ``None`` ends that bound."""


class Switch(msgspec.Struct, frozen=True, tag="switch"):
    """Use another strategy in one pool; health state is untouched."""

    pool: str
    strategy: StrategyName


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Send a :class:`Stats` with this number."""

    number: int


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Stop accepting, finish what is in flight within the time, say :class:`Drained`, exit."""

    timeout_s: float


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The configuration of that generation is in force; after the first one, listening."""

    pid: int
    generation: int
    error: str | None = None
    """Set when the worker could not apply it and keeps the previous one."""


class Run(msgspec.Struct, frozen=True, array_like=True):
    """Successive attempts with the same outcome; the order of runs is the order of events."""

    failure: FailureClass | None
    """``None`` is success."""
    count: int
    requests: tuple[int, ...] = ()
    """For failures: the worker-local number of the request behind each attempt, so that one
    poison request which fails everywhere is told apart from a bad backend. For successes: the
    numbers of those requests alone that had failed before, since a retry that succeeds settles
    at once that the earlier backend was to blame (without them the master has to wait)."""


class BackendReport(msgspec.Struct, frozen=True, array_like=True):
    """What happened at one backend since the last report of this worker."""

    ref: BackendRef
    runs: tuple[Run, ...]
    in_flight: int
    latency_s: float
    """EWMA as this worker sees it."""
    trial: bool = False
    """These attempts were half-open trials."""


class Outcomes(msgspec.Struct, frozen=True, tag="outcomes"):
    """Sent at once after a failure or a trial, otherwise every 50 ms if anything happened."""

    reports: tuple[BackendReport, ...]


class Stats(msgspec.Struct, frozen=True, tag="stats"):
    """Counters of one worker since it started, for merging: metric name -> label values -> value.

    Histograms are cumulative bucket counts under ``NAME_bucket`` with the bound as last label,
    plus ``NAME_sum`` and ``NAME_count``.
    """

    number: int
    counters: dict[str, dict[str, float]]
    """Label values are joined with ``\\x1f`` in the order that the metric declares."""
    gauges: dict[str, dict[str, float]] = {}


class Drained(msgspec.Struct, frozen=True, tag="drained"):
    """Nothing is in flight any more (or the bound was reached: ``cut`` requests were)."""

    cut: int = 0


ToWorker = Configure | Views | Switch | Ask | Drain
ToMaster = Ready | Outcomes | Stats | Drained
