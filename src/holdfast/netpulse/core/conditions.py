"""Conditions beside "down": a part of the checks fails, answers are slow, the certificate ends soon.

*Partial* and *slow* are each a CUSUM over all regions for a shift of a Bernoulli variable (Page 1954), with the
evidence of each failure domain clipped to half of the threshold, as the detector does: one place alone makes neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

PARTIAL_FAILS: Final = 0.3
"""The shift that is looked for: part of the probes that fail."""
SLOW_USUAL: Final = 0.02
"""Chance that an answer takes longer than its bound while nothing is wrong: twice what the learned 99 % says."""
SLOW_EXCEEDS: Final = 0.6
_SLOW_OVER: Final = math.log(SLOW_EXCEEDS / SLOW_USUAL)
_SLOW_UNDER: Final = math.log((1.0 - SLOW_EXCEEDS) / (1.0 - SLOW_USUAL))
CALM: Final = 8.0
"""Evidence, in nats, that ends such a condition: at 30 % failures 22 successes in a row, which chance brings about
once in three thousand times."""
SETBACK: Final = 4.0
"""What a failure takes of that evidence: as much as a lone failure says for the condition."""

CERTIFICATE_SLACK_DAYS: Final = 1.0
CERTIFICATE_AGREE: Final = 2
"""Handshakes in a row that have to show the same: during a rollout old and new take turns."""


class Shift:
    """One CUSUM over failure domains: first for the shift, then, mirrored, for its end."""

    __slots__ = ("active", "cap", "counter", "quiet", "since", "sums", "threshold")

    def __init__(self, threshold: float, domains: Iterable[str]) -> None:
        self.sums = dict.fromkeys(domains, 0.0)
        self.threshold = threshold
        self.cap = threshold if len(self.sums) <= 1 else threshold / 2
        self.active = False
        self.counter = 0.0
        """Evidence that it is over."""
        self.quiet = True
        """No evidence at all: what is unremarkable changes nothing."""
        self.since = 0.0

    def add(self, domain: str, evidence: float, at: float, *, well: bool, lone: bool = False) -> bool:
        """Nats for the shift, from one probe that was ``well`` or not. Returns whether it has begun or ended by it.

        ``lone``: no other domain can be believed, so this one is not capped.
        """
        if self.active:
            # What is not well never speaks for the end, not even where a bad path would explain it.
            self.counter = self.counter + min(-evidence, 1.0) if well else max(0.0, self.counter - SETBACK)
            if self.counter < CALM:
                return False
            self.reset()
            return True
        if self.quiet:
            if evidence <= 0.0:
                return False
            self.quiet = False
            self.since = at
        self.sums[domain] = min(max(0.0, self.sums[domain] + evidence), self.threshold if lone else self.cap)
        total = sum(self.sums.values())
        if total >= self.threshold:
            self.active = True
            self.counter = 0.0
            return True
        self.quiet = total <= 0.0
        return False

    @property
    def doubtful(self) -> bool:
        """Whether it stands, or more than one domain speaks for it."""
        return self.active or sum(self.sums.values()) > 1.05 * self.cap

    def supersede(self, *, resume: bool) -> None:
        """A worse condition takes its place, or (``resume``) has gone.

        Half of the evidence is kept: where failures come and go, the second time is the condition in between. All of
        it would let one stray failure after an honest outage begin it.
        """
        self.active = False
        self.counter = 0.0
        if resume:
            for domain in self.sums:
                self.sums[domain] /= 2
            self.quiet = not any(self.sums.values())

    def reset(self) -> None:
        """As if nothing had been seen."""
        self.active = False
        self.counter = 0.0
        self.quiet = True
        for domain in self.sums:
            self.sums[domain] = 0.0


def partial_evidence(fails: float, failed: bool) -> float:
    """Nats of one probe for "30 % fail", when the path alone would fail with ``fails``."""
    if failed:
        return math.log(PARTIAL_FAILS / fails)
    return math.log((1.0 - PARTIAL_FAILS) / (1.0 - fails))


def slow_evidence(over: bool) -> float:
    """Nats of one answer for "most are slow"."""
    return _SLOW_OVER if over else _SLOW_UNDER


class Latency:
    """What a region usually waits: the median and the 99 % quantile, by steps up and down in the logarithm.

    Robbins and Monro (1951) on the quantile's own equation: an answer above the estimate moves it up by
    ``step * q``, one below moves it down by ``step * (1 - q)``. Two floats per region, no logarithm to take, no
    outlier that counts for more than one step. Steps are 8 % while fewer than 64 answers are known and 0.5 % later:
    what doubles within hours is noticed, what drifts over days is followed.
    """

    __slots__ = ("answers", "bound_ms", "high_ms", "median_ms", "stated_ms")

    LEARNED: Final = 64
    """Answers before a learned bound holds."""

    def __init__(self, stated_ms: float | None) -> None:
        self.stated_ms = stated_ms
        self.answers = 0
        self.median_ms = 0.0
        self.high_ms = 0.0
        self.bound_ms = math.inf if stated_ms is None else stated_ms

    def learn(self, total_ms: float) -> None:
        """One more answer, while nothing is wrong."""
        self.answers = answers = self.answers + 1
        if answers > self.LEARNED:
            step = 0.005
        elif answers > 1:
            step = 0.08
        else:
            self.median_ms = total_ms
            self.high_ms = total_ms * 1.5
            return
        self.median_ms *= 1.0 + (step / 2 if total_ms > self.median_ms else -step / 2)
        self.high_ms *= 1.0 + (0.99 * step * 4 if total_ms > self.high_ms else -0.01 * step * 4)
        if self.stated_ms is None and answers >= self.LEARNED:
            self.bound_ms = max(2.0 * self.median_ms, 1.25 * self.high_ms) + 10.0

    def state(self, stated_ms: float | None) -> None:
        """Another stated bound, or none: then what was learned holds."""
        self.stated_ms = stated_ms
        if stated_ms is not None:
            self.bound_ms = stated_ms
        elif self.answers < self.LEARNED:
            self.bound_ms = math.inf
        else:
            self.bound_ms = max(2.0 * self.median_ms, 1.25 * self.high_ms) + 10.0


class Certificate:
    """Days left, against a bound: begins at it, ends a day above it."""

    __slots__ = ("active", "days", "seen")

    def __init__(self) -> None:
        self.active = False
        self.days: float | None = None
        self.seen = 0
        """Handshakes in a row that speak for a change."""

    def add(self, days: float, bound_days: int) -> bool:
        """One more handshake. Returns whether the condition has begun or ended by it."""
        self.days = days
        if self.active:
            changes = bound_days <= 0 or days > bound_days + CERTIFICATE_SLACK_DAYS
        else:
            changes = bound_days > 0 and days <= bound_days
        self.seen = self.seen + 1 if changes else 0
        if self.seen < CERTIFICATE_AGREE:
            return False
        self.seen = 0
        self.active = not self.active
        return True
