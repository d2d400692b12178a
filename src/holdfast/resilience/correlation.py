"""Whose fault it was: the backend's, the request's, or everybody's at once.

Three causes look alike from inside one backend. They are told apart by what the rest of the
pool saw.

**A poison request** (it crashes or hangs whatever serves it) fails on the first backend, is
retried, and fails on the second and third. One bad backend: the retry succeeds elsewhere. So
a failure is *held* until the fate of its request is known:

    state      event                                     next       effect on its failures
    ---------  ----------------------------------------  ---------  ----------------------
    (none)     fails at a backend                        held       held
    held       succeeds anywhere                         (gone)     confirmed at once
    held       fails at another backend                  spread     held
    held       nothing more for ``settle_s``             counted    confirmed
    counted    fails at another backend                  spread     held again
    spread     succeeds anywhere                         (gone)     confirmed at once
    spread     nothing more for ``settle_s``             poison     retracted everywhere
    poison     fails at one more backend                 poison     never counted
    counted, poison   ``remember_s`` later               (gone)

A refused connection is never held: no byte of the request arrived, so it cannot be the cause.
A failure without a request number is confirmed at once.

**The pool fails as a whole** (a shared database, a bad deploy, our own network). Ejecting
would only move the load to backends that fail as well. So evidence against one backend
convicts it only when a peer has an alibi for the cause: a success since the evidence began,
and no failing run now.

    failing   peers already out of rotation, in a failing run of 3, with evidence of their own, or
              dismissed as correlated and without a success since
    sound     peers whose last outcome is a success later than the beginning of the evidence
    silent    the rest

    (failing + 1) / (failing + sound + 1) >= 0.9       correlated: dismissed, counting starts anew
    some peer is sound                                 ejected
    all peers silent                                   wait, at most ``patience_s``, then as if they were sound

A pool of one is correlated by definition: there is nowhere else to send.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from holdfast.resilience.outlier import Evidence, Mark, OutlierPolicy, OutlierWindow

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

INNOCENT_REQUEST: Final = "connect"
"""The class of failure that happens before a byte of the request is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationPolicy:
    """Times in seconds. Raises ``ValueError`` when out of range."""

    settle_s: float = 0.5
    """Longest time from a failure to the outcome of its retry, other than for a timeout. It only
    matters for requests that are not retried: a retry that succeeds settles the blame at once."""
    settle_timeout_s: float = 2.5
    """The same after a per-try timeout: the retry may take as long again (2 s by default)."""
    remember_s: float = 10.0
    """How long a request is remembered after that; as long as the window it may have to be
    taken out of."""
    failing_share: float = 0.9
    """Nearly all: with up to nine backends every one, with more one may be sound."""
    failing_run: int = 3
    """Failures in a row that make a peer failing, held ones included."""
    patience_s: float = 1.0
    """Longest wait for a sign of life or failure from silent peers."""
    max_requests: int = 10_000
    """Requests remembered at once; the oldest is settled early to make room."""

    def __post_init__(self) -> None:
        """Refuse negative times and shares outside (0, 1]."""
        for name in ("settle_s", "settle_timeout_s", "remember_s", "patience_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"correlation: {name} is {value:g}; it must be a finite time of at least 0")
        if not 0 < self.failing_share <= 1:
            raise ValueError(f"correlation: failing_share is {self.failing_share:g}; it must be above 0 and at most 1")
        if self.failing_run < 1 or self.max_requests < 1:
            raise ValueError("correlation: failing_run and max_requests must be at least 1")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The decision about one backend with evidence against it."""

    backend: str
    eject: bool
    """False: dismissed as correlated."""
    evidence: Evidence
    failing: int
    """Peers that fail too."""
    sound: int


class _Suspicion:
    """One request and the failures it was part of."""

    __slots__ = ("due", "marks", "state")

    def __init__(self) -> None:
        self.state: Literal["held", "counted", "spread", "poison"] = "held"
        self.marks: list[tuple[OutlierWindow, Mark]] = []
        self.due = 0.0


class Correlation:
    """The outlier windows of a pool, and the judge over them.

    Requests are known by any hashable key that is unique for ``remember_s`` or longer; all of
    it is bounded by ``max_requests``.
    """

    __slots__ = (
        "_dismissed",
        "_outlier",
        "_pending",
        "_policy",
        "_requests",
        "_sequence",
        "_timers",
        "_windows",
        "poisoned",
    )

    def __init__(self, outlier: OutlierPolicy, policy: CorrelationPolicy) -> None:
        """Start without backends."""
        self._outlier = outlier
        self._policy = policy
        self._windows: dict[str, OutlierWindow] = {}
        self._requests: dict[Hashable, _Suspicion] = {}
        self._timers: list[tuple[float, int, Hashable]] = []
        self._sequence = 0  # orders timers that are due at the same time; keys need not be comparable
        self._pending: dict[str, float] = {}  # backend -> when evidence appeared that waits for a sign of its peers
        self._dismissed: set[str] = set()
        self.poisoned = 0
        """Requests found to be poison since the start."""

    @property
    def suspected(self) -> int:
        """Requests remembered now."""
        return len(self._requests)

    def window(self, backend: str) -> OutlierWindow:
        """The window of that backend. Raises ``KeyError`` when it was not added."""
        return self._windows[backend]

    def add(self, backend: str) -> None:
        """Begin to watch a backend."""
        self._windows[backend] = OutlierWindow(self._outlier)

    def remove(self, backend: str) -> None:
        """Forget a backend."""
        self.clear(backend)
        del self._windows[backend]

    def reconfigure(self, outlier: OutlierPolicy, policy: CorrelationPolicy) -> None:
        """Judge by other figures. Windows start anew only when their own figures change."""
        self._policy = policy
        if outlier != self._outlier:
            self._outlier = outlier
            self._windows = {backend: OutlierWindow(outlier) for backend in self._windows}
            self._requests.clear()
            self._timers.clear()
            self._pending.clear()
            self._dismissed.clear()

    def succeeded(self, backend: str, count: int, requests: Sequence[Hashable], now: float) -> None:
        """Count successes; ``requests`` names those that had failed before."""
        self._windows[backend].succeeded(count, now)
        self._dismissed.discard(backend)
        for key in requests:
            suspicion = self._requests.pop(key, None)
            if suspicion is not None and suspicion.state in ("held", "spread"):
                self._confirm(suspicion)

    def failed(self, backend: str, kind: str, count: int, requests: Sequence[Hashable], now: float) -> None:
        """Count failures of one class in a row; ``requests`` names the request behind each, as far as known."""
        window = self._windows[backend]
        if kind == INNOCENT_REQUEST:
            window.failed(count, now)
            return
        if count > len(requests):
            window.failed(count - len(requests), now)
        settle_s = self._policy.settle_timeout_s if kind == "timeout" else self._policy.settle_s
        for key in requests:
            self._suspect(key, window, now, settle_s)

    def failed_elsewhere(self, request: Hashable, backend: str) -> bool:
        """Whether the request is known to have failed at another backend than this one."""
        suspicion = self._requests.get(request)
        window = self._windows[backend]
        return suspicion is not None and any(other is not window for other, _ in suspicion.marks)

    def settle(self, now: float) -> None:
        """Decide about requests of which nothing more was heard in time."""
        while self._timers and self._timers[0][0] <= now:
            due, _, key = heapq.heappop(self._timers)
            suspicion = self._requests.get(key)
            if suspicion is not None and suspicion.due == due:  # else it was extended or forgotten
                self._settle(key, suspicion, now)

    def clear(self, backend: str) -> None:
        """Start a backend's window anew, because it came back."""
        self._windows[backend].clear()
        self._pending.pop(backend, None)
        self._dismissed.discard(backend)

    def judge(self, active: Collection[str], out: Collection[str], now: float) -> list[Judgement]:
        """Decide about every backend in ``active`` that has evidence against it.

        ``out`` are the peers that are out of rotation because they fail (not those that an
        operator took out). The windows of those dismissed start anew; :meth:`clear` those
        ejected when they return, not before: until then the window tells what they can carry.
        """
        found = {backend: evidence for backend in active if (evidence := self._windows[backend].evidence(now))}
        for backend in [backend for backend in self._pending if backend not in found]:
            del self._pending[backend]
        judgements = [
            judgement
            for backend, evidence in found.items()
            if (judgement := self._judge_one(backend, evidence, found, active, out, now))
        ]
        for judgement in judgements:
            if judgement.eject:
                self._pending.pop(judgement.backend, None)
            else:
                self.clear(judgement.backend)
                self._dismissed.add(judgement.backend)
        return judgements

    def _judge_one(
        self,
        backend: str,
        evidence: Evidence,
        found: Collection[str],
        active: Collection[str],
        out: Collection[str],
        now: float,
    ) -> Judgement | None:
        failing = sum(1 for peer in out if peer != backend)
        sound = silent = 0
        for peer in active:
            if peer == backend:
                continue
            window = self._windows[peer]
            if peer in found or peer in self._dismissed or window.run_length >= self._policy.failing_run:
                failing += 1
            elif window.run_length == 0 and window.last_success >= evidence.since:
                sound += 1
            else:
                silent += 1
        if not sound and silent:
            if now - self._pending.setdefault(backend, now) < self._policy.patience_s:
                return None
            sound = silent
        share = (failing + 1) / (failing + sound + 1)
        return Judgement(backend, share < self._policy.failing_share, evidence, failing, sound)

    def _suspect(self, key: Hashable, window: OutlierWindow, now: float, settle_s: float) -> None:
        suspicion = self._requests.get(key)
        if suspicion is None:
            if len(self._requests) >= self._policy.max_requests:
                self._settle_oldest(now)
            suspicion = self._requests[key] = _Suspicion()
        elif suspicion.state == "poison":
            return
        elif any(other is not window for other, _ in suspicion.marks):
            if suspicion.state == "counted":
                for other, mark in suspicion.marks:
                    other.doubt(mark)
            suspicion.state = "spread"
        elif suspicion.state == "counted":  # once more at the same backend, late
            window.failed(1, now)
            return
        suspicion.marks.append((window, window.hold(now)))
        self._set_timer(key, suspicion, max(suspicion.due, now + settle_s))

    def _settle(self, key: Hashable, suspicion: _Suspicion, now: float) -> None:
        if suspicion.state == "held":
            self._confirm(suspicion)
            suspicion.state = "counted"
        elif suspicion.state == "spread":
            for window, mark in suspicion.marks:
                window.retract(mark)
            suspicion.state = "poison"
            self.poisoned += 1
        else:
            del self._requests[key]
            return
        self._set_timer(key, suspicion, now + self._policy.remember_s)

    def _settle_oldest(self, now: float) -> None:
        key = next(iter(self._requests))
        suspicion = self._requests[key]
        if suspicion.state in ("held", "spread"):
            self._settle(key, suspicion, now)
        self._requests.pop(key, None)

    def _confirm(self, suspicion: _Suspicion) -> None:
        for window, mark in suspicion.marks:
            window.confirm(mark)

    def _set_timer(self, key: Hashable, suspicion: _Suspicion, due: float) -> None:
        suspicion.due = due
        self._sequence += 1
        heapq.heappush(self._timers, (due, self._sequence, key))
        if len(self._timers) > 4 * self._policy.max_requests:  # mostly timers of requests that are forgotten
            self._timers = [timer for timer in self._timers if self._is_pending(timer)]
            heapq.heapify(self._timers)

    def _is_pending(self, timer: tuple[float, int, Hashable]) -> bool:
        suspicion = self._requests.get(timer[2])
        return suspicion is not None and suspicion.due == timer[0]
