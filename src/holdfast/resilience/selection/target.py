"""The load-balancing state of one backend.

Two estimates, fast and soft. Nothing here ever takes a backend out: that is for breaker and
health checks, which are slower and surer, and this is what holds until they have decided.

``success``
    The chance that the next attempt succeeds, from almost 0 to 1. It falls by 30 % of itself
    with each failure, closes 30 % of its distance to 1 with each success, and drifts back to
    1 with time. After five failures in a row 0.17 is left; a backend that fails every fifth
    attempt stays around 0.8; and one that nobody asked for a second is worth asking again.

``latency_s``
    A moving average of the time to a successful answer that rises five times faster than it
    falls, or more than that while the backend is silent. 0 means *unknown*: strategies then
    compare without it, so that a new backend is neither flooded nor starved.

Rules:

- a fast failure never lowers the latency, or failing fast would attract traffic;
- a client that leaves is no evidence;
- silence is evidence: while attempts wait and no answer at all arrives, the wait of the
  oldest counts as latency, and once it is far beyond the usual, as failures;
- what is unknown is asked again, the sooner the less that can cost.

Why time restores the *logarithm* of ``success``: a backend that refuses everything gets
attempts at the rate at which time undoes their effect, and with the logarithm that rate grows
with the logarithm of the pressure, not with its root.

The constants were chosen by simulation of three backends, each with its own queue: one good,
one that refuses everything for 0.7 s of every 1.4 s, one that fails a fifth after doing the
work (which alone costs 1.07 attempts per request). Power of two choices at 75 % of the good
capacity gave these attempts per request, and shares of its good phase that the second one
worked (0.66 is its part of the load)::

                                     8 places, 10 ms    2 places, 100 ms
    as below, success ** 3            1.083   0.65        1.191   0.67
    attempt weight 0.2 | 0.5          1.085 | 1.081       1.240 | 1.161
    half-life 0.1 s | 0.5 s           1.088 | 1.083       1.252 | 1.174
      worked                           0.72 | 0.60         0.74 | 0.60
    success ** 2 | ** 4               1.089 | 1.074       1.228 | 1.175
    half-life of 1 - success          1.086   0.72        1.210   0.71

A weight of 0.5 and a fourth power cost less still, but leave work to the good one that the
one which fails a fifth could do. At 95 % of 32 places of 5 ms, the refusing backend got 83
of 14,000 attempts per second, and 159 when ``1 - success`` is what halves.
"""

from __future__ import annotations

from typing import Final

_ATTEMPT_WEIGHT: Final = 0.3
"""Weight of one attempt in ``success``."""

_LEAST_SUCCESS: Final = 1e-4
"""``success`` stays above this, so that costs stay finite and a pool that fails as a whole is shared evenly."""

_RECOVERY_HALF_LIFE_S: Final = 0.25
"""Time in which the logarithm of ``success`` halves: 0.17 becomes 0.41, then 0.64, then 0.8."""

_RISE: Final = 0.25
"""Least weight of a latency above the average: one answer of 50 ms makes a 2 ms backend a 14 ms one."""

_FALL: Final = 0.05
"""Least weight of a latency below the average."""

_SHORTEST_MEMORY_S: Final = 2.0
"""A latency is remembered at least this long, which bridges the gaps between requests at low load;
and one that comes after a pause of this length weighs half."""

_MEMORY_PER_LATENCY: Final = 40.0
"""A slow backend is asked again after this many times its latency, so finding out costs at most 1/40 of the time."""

_STALL_S: Final = 0.1
"""Silence counts as failures after this plus ``_STALL_LATENCIES`` times the usual latency."""

_STALL_LATENCIES: Final = 4.0


class Target:
    """What a strategy knows about one backend. Meant to be subclassed by whoever connects to it.

    All attributes are plain slots, read and written directly on the hot path.

    Args:
        id: Name of the backend; it places the backend on the hash ring, so it must not change.
        weight: Share of traffic relative to the others of the pool; 0 takes the backend out.
        limit: Most attempts that may be in flight there.
        memory_s: Longest time for which a latency is remembered when no answer confirms it.
            linkerd's and Finagle's 10 s, but here only for backends so slow (250 ms and more)
            that asking again is expensive; a 2 ms backend that had a pause of 50 ms is
            compared as an equal after 2 s without traffic.
    """

    __slots__ = (
        "evidence_at",
        "id",
        "in_flight",
        "latency_s",
        "limit",
        "memory_s",
        "nominal_weight",
        "succeeded_at",
        "success",
        "ticked_at",
        "turn",
        "usual_s",
        "weight",
    )

    def __init__(self, id: str, weight: float = 1.0, limit: int = 1024, *, memory_s: float = 10.0) -> None:
        self.id = id
        self.weight = weight
        """Effective weight: configured x ramp x damping. Set by whoever watches the backend."""
        self.nominal_weight = weight if weight > 0 else 1.0
        """Configured weight: what ``weight`` is while the backend is well."""
        self.limit = limit
        self.memory_s = memory_s
        self.in_flight = 0
        self.latency_s = 0.0
        """What an attempt is expected to take: ``usual_s``, or more in silence; 0 when unknown."""
        self.success = 1.0
        self.succeeded_at = 0.0
        """When the last attempt succeeded."""
        """Chance that the next attempt succeeds, above 0 and at most 1."""
        self.evidence_at = 0.0
        """When an attempt last succeeded or failed, monotonic seconds."""
        self.ticked_at = float("inf")
        self.usual_s = 0.0
        """Moving average of the latency of successful answers; 0 before the first."""
        self.turn = 0.0
        """How far its next turn has come: the cursor of the round robins, kept here as nginx does."""

    def began(self) -> None:
        """An attempt was sent."""
        self.in_flight += 1

    def succeeded(self, now: float, latency_s: float) -> None:
        """An attempt was answered, ``latency_s`` after it was sent."""
        self.in_flight -= 1
        self.success += _ATTEMPT_WEIGHT * (1.0 - self.success)
        if self.usual_s == 0.0:
            self.usual_s = self.latency_s = latency_s
        else:
            excess_s = latency_s - self.usual_s
            # x / (x + memory) is the first-order form of 1 - exp(-x / memory), without a call.
            pause_s = now - self.evidence_at
            gain = pause_s / (pause_s + _SHORTEST_MEMORY_S)
            least = _RISE if excess_s > 0.0 else _FALL
            self.usual_s += excess_s * (gain if gain > least else least)  # noqa: FURB136 - max() costs more
            self.latency_s = self.usual_s
        self.evidence_at = self.succeeded_at = now

    def failed(self, now: float, latency_s: float) -> None:
        """An attempt failed, ``latency_s`` after it was sent, which counts as latency only if it makes it worse."""
        self.in_flight -= 1
        self.success -= _ATTEMPT_WEIGHT * (self.success - _LEAST_SUCCESS)
        if latency_s > self.latency_s > 0.0:
            self.latency_s += _RISE * (latency_s - self.latency_s)
        self.evidence_at = now

    def abandoned(self) -> None:
        """An attempt was given up for reasons that say nothing about the backend: the client went away."""
        self.in_flight -= 1

    def tick(self, now: float, oldest_age_s: float) -> None:
        """Let time pass; to be called about every 50 ms.

        Args:
            now: Monotonic seconds.
            oldest_age_s: How long the oldest attempt that still waits for the beginning of its
                answer has been waiting; 0 when none does. Tunnels and answers that are being
                relayed do not count: they are meant to be long.
        """
        elapsed_s = now - self.ticked_at
        self.ticked_at = now
        silence_s = now - self.evidence_at
        if oldest_age_s > 0.0:
            # One slow request among others that are answered is no hang, hence the shorter of the two.
            waited_s = min(oldest_age_s, silence_s)
            self.latency_s = max(self.latency_s, waited_s)
            if waited_s > _STALL_S + _STALL_LATENCIES * self.usual_s:
                self.success -= _ATTEMPT_WEIGHT * (self.success - _LEAST_SUCCESS)
                return
        elif silence_s > min(self.memory_s, max(_SHORTEST_MEMORY_S, _MEMORY_PER_LATENCY * self.latency_s)):
            self.latency_s = 0.0
        if elapsed_s > 0.0:
            self.success **= 0.5 ** (elapsed_s / _RECOVERY_HALF_LIFE_S)
