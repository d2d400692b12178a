"""The seam between the master and the policies of one pool.

The master owns time, processes and sockets; whoever implements :class:`PoolDecisions`
owns hysteresis, outlier windows, breaker, damping and weights. Nothing here does I/O,
every method takes ``now`` in monotonic seconds, and what changed comes back as
:class:`Transition` values that say which rule decided and with which figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

import msgspec

from holdfast.balancer.core.messages import BackendReport, FailureClass, View
from holdfast.balancer.core.settings import BackendSettings, PoolSettings


class ProbeResult(msgspec.Struct, frozen=True):
    """How one active health check ended."""

    ok: bool
    failure: FailureClass | None
    """``None`` exactly when ``ok``."""
    latency_s: float
    status: int | None = None
    """Of the answer, if there was one."""
    detail: str = ""
    """For people: what was seen instead of a passing answer."""


class Transition(msgspec.Struct, frozen=True):
    """One backend changed its state."""

    pool: str
    backend: str
    before: str
    after: str
    """States are those of :attr:`holdfast.balancer.core.messages.View.state`."""
    rule: str
    """The policy that decided: health, outlier, breaker, damping, panic, operator, ..."""
    why: str
    """The figures that led to it, in a sentence."""


class BackendStatus(msgspec.Struct, frozen=True):
    """One backend as an operator sees it."""

    pool: str
    backend: str
    url: str
    state: str
    weight: float
    """As configured or set by an operator."""
    effective_weight: float
    penalty: float
    breaker: str
    """closed, open or half_open."""
    success_ratio: float | None
    """Over the outlier window; ``None`` without traffic."""
    in_flight: int
    latency_s: float | None
    """EWMA over all workers; ``None`` without traffic."""
    why: str


class PoolDecisions(Protocol):
    """The policies of one pool over all its backends."""

    def on_probe(self, backend: str, result: ProbeResult, now: float) -> Sequence[Transition]:
        """Take the result of an active check. Unknown backends are ignored."""
        ...

    def on_reports(self, worker: int, reports: Sequence[BackendReport], now: float) -> Sequence[Transition]:
        """Take what a worker saw. Unknown backends (a reload removed them) are ignored."""
        ...

    def tick(self, now: float) -> Sequence[Transition]:
        """Let time pass: decay, ramps, open times. Called about every 100 ms."""
        ...

    def views(self, workers: Sequence[int]) -> dict[int, tuple[View, ...]]:
        """What each of these workers may send to each backend."""
        ...

    def pool_limit(self) -> int | None:
        """Requests in flight that the pool can carry, over all workers; ``None`` is no bound."""
        ...

    def explain(self, backend: str, now: float) -> Any:
        """Why the backend is in or out, since when, until when: a value msgspec can encode."""
        ...

    def snapshot(self, now: float) -> Sequence[BackendStatus]:
        """Every backend, in configured order."""
        ...

    def set_drain(self, backend: str, on: bool, now: float) -> Sequence[Transition]:
        """An operator takes a backend out of use, or puts it back."""
        ...

    def set_weight(self, backend: str, weight: float, now: float) -> Sequence[Transition]:
        """An operator sets a weight, until the next change of that backend's configuration."""
        ...

    def reconfigure(
        self, settings: PoolSettings, backends: Sequence[BackendSettings], now: float
    ) -> Sequence[Transition]:
        """Take new settings and the full set of backends; the state of what stays survives."""
        ...


PoolFactory = Callable[[str, PoolSettings, Random, float], PoolDecisions]
"""``(name, settings, rng, now)``; discovered backends follow through ``reconfigure``."""
