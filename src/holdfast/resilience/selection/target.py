"""The load-balancing state of one backend.

Two estimates, both fast and soft (nothing here ever takes a backend out; that is for the
breaker and the health checks, which are slower and surer):

``success``
    The chance that the next attempt succeeds. It falls by 30 % of itself with each failure,
    closes 30 % of its distance to 1 with each success, and drifts back to 1 with time. A
    backend that starts to fail has lost 83 % of it after five attempts, one that fails every
    fifth request keeps about 0.8, and one that nobody asks is worth asking again soon.

``latency_s``
    A peak-sensitive moving average of the time to a successful answer. It rises five times
    faster than it falls. 0 means *unknown*: a strategy then compares without it, so that a
    new backend is neither flooded nor starved.

Rules: a fast failure never lowers the latency; a client that leaves is no evidence; silence
counts: while requests wait and no answer at all arrives, the time of the oldest is latency.
"""

from __future__ import annotations

from typing import Final

_ALPHA: Final = 0.3
"""Weight of one attempt in ``success``."""

_LEAST_SUCCESS: Final = 0.01
"""``success`` stays above this, so that costs stay finite and a pool that fails as a whole is shared evenly."""

_RECOVERY_HALF_LIFE_S: Final = 0.3
"""Half of what ``success`` lacks to 1 is restored in this time."""

_RISE: Final = 0.25
"""Least weight of a latency above the average. One answer of 50 ms makes a 2 ms backend a 14 ms one."""

_FALL: Final = 0.05
"""Least weight of a latency below the average."""


class Target:
    """What a strategy knows about one backend. Meant to be subclassed by whoever connects to it.

    Args:
        id: Name of the backend; places it on the hash ring, so it must not change.
        weight: Share of traffic relative to its siblings; 0 takes it out.
        limit: Most requests that may be in flight there.
        memory_s: How fast latency is forgotten: a sample that comes after a pause of this
            length weighs half, and after this long without any the latency is unknown again.
            linkerd and Finagle use 10 s, which exiles a backend for half a minute after one
            pause for garbage collection. 2 s is enough to bridge the gaps between requests
            at low load, where latency decides, and costs one late request per 2 s when a
            backend really is slow.
    """

    __slots__ = (
        "evidence_at",
        "id",
        "in_flight",
        "latency_s",
        "limit",
        "memory_s",
        "nominal_weight",
        "success",
        "ticked_at",
        "turn",
        "weight",
    )

    def __init__(self, id: str, weight: float = 1.0, limit: int = 1024, *, memory_s: float = 2.0) -> None:
        self.id = id
        self.weight = weight
        """Effective weight: configured x ramp x damping. Set by whoever watches the backend."""
        self.nominal_weight = weight if weight > 0 else 1.0
        """Configured weight: what ``weight`` is while the backend is well."""
        self.limit = limit
        self.memory_s = memory_s
        self.in_flight = 0
        self.latency_s = 0.0
        self.success = 1.0
        self.evidence_at = 0.0
        """When the last attempt succeeded or failed."""
        self.ticked_at = float("inf")
        self.turn = 0.0
        """How far its next turn has come: the cursor of the round robins, kept here as in nginx."""

    def began(self) -> None:
        """An attempt was sent."""
        self.in_flight += 1

    def succeeded(self, now: float, latency_s: float) -> None:
        """An attempt was answered after ``latency_s``."""
        self.in_flight -= 1
        self.success += _ALPHA * (1.0 - self.success)
        excess_s = latency_s - self.latency_s
        if self.latency_s == 0.0:
            self.latency_s = latency_s
        else:
            # dt / (dt + memory) is the first-order form of 1 - exp(-dt / memory), without a call.
            pause_s = now - self.evidence_at
            gain = pause_s / (pause_s + self.memory_s)
            least = _RISE if excess_s > 0.0 else _FALL
            self.latency_s += excess_s * (gain if gain > least else least)  # noqa: FURB136 - max() costs more
        self.evidence_at = now

    def failed(self, now: float, latency_s: float) -> None:
        """An attempt failed after ``latency_s``. That counts as latency only if it is a bad one."""
        self.in_flight -= 1
        self.success -= _ALPHA * (self.success - _LEAST_SUCCESS)
        if latency_s > self.latency_s > 0.0:
            self.latency_s += _RISE * (latency_s - self.latency_s)
        self.evidence_at = now

    def abandoned(self) -> None:
        """An attempt was given up for reasons that say nothing about the backend (the client went away)."""
        self.in_flight -= 1

    def tick(self, now: float, oldest_age_s: float) -> None:
        """Let time pass; to be called about every 50 ms.

        Args:
            now: Monotonic seconds.
            oldest_age_s: How long the oldest attempt in flight has been waiting; 0 without any.
        """
        elapsed_s = now - self.ticked_at
        self.ticked_at = now
        if elapsed_s > 0.0 and self.success < 1.0:
            self.success = 1.0 - (1.0 - self.success) * 0.5 ** (elapsed_s / _RECOVERY_HALF_LIFE_S)
        silence_s = now - self.evidence_at
        if self.in_flight > 0:
            # One slow request among answered ones is not a hang, hence the shorter of the two.
            waited_s = min(oldest_age_s, silence_s)
            self.latency_s = max(self.latency_s, waited_s)
        elif silence_s > self.memory_s:
            self.latency_s = 0.0
