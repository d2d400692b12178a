"""The path from one region to one target: the chance that a probe fails although the target is up.

A hidden Markov chain in continuous time, so that two probes five seconds apart are not taken for two independent
witnesses, and two an hour apart are:

    good    a probe fails now and then (``good_fails``, learned)
    bad     a spell of loss: most probes fail, for two minutes or so; how often spells come is learned
    stuck   the region's view of this target is broken for hours (a stale address, a firewall rule): all fail

``fails(at)`` moves the chain to the time of a probe and predicts; ``update`` conditions it on what came. The
prediction leaves *stuck* out: it is not weighed against "target down" (nothing seen from one place could tell them
apart), but a region that is almost surely stuck is not believed (:attr:`Path.stuck`).

At rest, which is where a healthy path spends its life, a success changes nothing but two counters.

Source of the constants: Gilbert (1960) and Elliott (1963) for the form; the figures are those of the reference world
in :mod:`holdfast.drills.noise_world` (bad 0.2 % of the time, spells of two minutes).
"""

from __future__ import annotations

import math
from typing import Final

DOWN_FAILS: Final = 0.99
"""Chance that a probe of a target that is down fails: something else may answer in its place."""
GOOD_FAILS: Final = 0.002
BAD_FAILS: Final = 0.9
LEAST_FAILS: Final = 0.00234
"""However good a path was: so no lone failure says more than 6.05 nats, and two together less than any threshold."""
STUCK_FAILS: Final = 0.995
BAD_SHARE: Final = 0.002
"""Part of the time that a path is bad, before anything is learned."""
FORGET_PER_S: Final = -math.log((0.75 - BAD_SHARE) / (1 - BAD_SHARE)) / 30.0
"""How fast good and bad mix: after 30 s a bad path is still bad with 0.75, which makes spells of two minutes."""
STICK_PER_S: Final = 2e-6 / 30.0
UNSTICK_PER_S: Final = 2e-4 / 30.0
DISBELIEF: Final = 0.99
"""A region that is stuck with at least this chance is not believed. A stuck one gets there after 26 failures 30 s
apart; a spell of loss hardly ever lasts so long."""

PRIOR_PROBES: Final = 1_000.0
"""Weight of the prior belief in ``GOOD_FAILS``: as many probes."""
PRIOR_SPELLS: Final = 2.0
MEMORY_PROBES: Final = 20_000.0
"""Counts are halved there: about a week at an interval of 30 s."""
_FAILS_RANGE: Final = (0.0005, 0.3)
_SHARE_RANGE: Final = (0.0005, 0.1)


class Path:
    """One region's path. Probabilities, seconds."""

    __slots__ = (
        "_interval_s",
        "bad",
        "bad_share",
        "failures",
        "good_fails",
        "last",
        "peak_bad",
        "pending_failures",
        "pending_probes",
        "probes",
        "rest_bad",
        "resting",
        "spells",
        "stuck",
    )

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self.probes = 0.0
        """In good, of those remembered; without the prior."""
        self.failures = 0.0
        self.spells = 0.0
        self.pending_probes = 0.0
        self.pending_failures = 0.0
        self.peak_bad = 0.0
        self.last = -math.inf
        """Start of the latest probe that counted."""
        self.stuck = 0.0
        self.bad = 0.0
        """Given that it is not stuck."""
        self.rest_bad = 0.0
        """``bad`` after a success every interval, for long."""
        self.resting = True
        self.good_fails = GOOD_FAILS
        self.bad_share = BAD_SHARE
        self.settle()

    # -- predicting ---------------------------------------------------------------------------------

    def fails(self, at: float) -> float:
        """Move to ``at``; the chance that a probe fails there although the target is up and the region not stuck."""
        elapsed = min(at - self.last, 1e7)
        self.last = at
        # `bad` is conditional on not being stuck, and what sticks is as often bad as what does not.
        kept = math.exp(-FORGET_PER_S * elapsed)
        self.bad = self.bad_share + (self.bad - self.bad_share) * kept
        self.stuck += (1.0 - self.stuck) * -math.expm1(-STICK_PER_S * elapsed)
        self.stuck -= self.stuck * -math.expm1(-UNSTICK_PER_S * elapsed)
        self.resting = False
        return self.fails_again()

    def fails_again(self) -> float:
        """Chance that another probe at the time of the last one fails."""
        return min(max(self.good_fails + (BAD_FAILS - self.good_fails) * self.bad, LEAST_FAILS), 0.98)

    def update(self, fails: float, failed: bool) -> None:
        """Condition on a probe that ``fails`` was predicted for."""
        sane = 1.0 - self.stuck
        if failed:
            stuck = self.stuck * STUCK_FAILS
            path = fails
            bad = self.bad * BAD_FAILS / fails
        else:
            stuck = self.stuck * (1.0 - STUCK_FAILS)
            path = 1.0 - fails
            bad = self.bad * (1.0 - BAD_FAILS) / path
        self.stuck = stuck / (stuck + sane * path)
        self.bad = min(bad, 1.0)
        self.peak_bad = max(self.peak_bad, self.bad)
        weight = (1.0 - self.bad) * (1.0 - self.stuck)
        self.pending_probes += weight
        if failed:
            self.pending_failures += weight
        elif self.bad <= 1.5 * self.rest_bad + 1e-9 and self.stuck < 1e-3:
            self.bad = self.rest_bad
            self.stuck = 0.0
            self.resting = True

    # -- learning -----------------------------------------------------------------------------------

    def learn(self) -> None:
        """The stretch is over and the target was up: it is about the path."""
        self.probes += self.pending_probes
        self.failures += self.pending_failures
        if self.peak_bad > 0.5 and self.stuck < DISBELIEF:
            self.spells += 1.0
        if self.probes > MEMORY_PROBES:
            self.probes /= 2
            self.failures /= 2
            self.spells /= 2
        self.forget_pending()
        self._reckon()

    def forget_pending(self) -> None:
        """The stretch was about the target: nothing is learned from it."""
        self.pending_probes = self.pending_failures = self.peak_bad = 0.0

    def settle(self) -> None:
        """Back to rest: the path is as good as it usually is."""
        self.stuck = 0.0
        self.resting = True
        self.forget_pending()
        self._reckon()
        self.bad = self.rest_bad

    def reckon_for(self, interval_s: float) -> None:
        """Another interval."""
        self._interval_s = interval_s
        self._reckon()

    def _reckon(self) -> None:
        fails = (GOOD_FAILS * PRIOR_PROBES + self.failures) / (PRIOR_PROBES + self.probes)
        self.good_fails = min(max(fails, _FAILS_RANGE[0]), _FAILS_RANGE[1])
        # A spell lasts 1 / ((1 - share) * FORGET_PER_S); share = spells * length / time.
        length_s = 1.0 / FORGET_PER_S
        prior_s = PRIOR_SPELLS * length_s / BAD_SHARE
        share = (PRIOR_SPELLS + self.spells) * length_s / (prior_s + self.probes * self._interval_s)
        self.bad_share = min(max(share, _SHARE_RANGE[0]), _SHARE_RANGE[1])
        # The fixed point of "a success every interval".
        kept = math.exp(-FORGET_PER_S * self._interval_s)
        bad = 0.0
        for _ in range(60):
            ahead = self.bad_share + (bad - self.bad_share) * kept
            fails = self.good_fails + (BAD_FAILS - self.good_fails) * ahead
            bad, before = ahead * (1.0 - BAD_FAILS) / (1.0 - fails), bad
            if abs(bad - before) < 1e-9:
                break
        self.rest_bad = bad
