"""What traffic itself says about one backend: a window of attempts and two detectors.

Outcomes are counted per attempt, not per request: a retry that succeeds elsewhere must not
hide the failure here.

**Consecutive failures.** Five in a row are strong evidence against a backend that never
fails, and none at all against one that resets every fifth connection: at 1000 requests a
second that one shows five in a row every four seconds by chance. So a run counts only as far
as the window *before* it does not explain it already. With

    N, F   attempts and failures in the window when the run began
    q    = (F + 0.5) / (N + 10)                 smoothed failure ratio, at most 0.99
    c    = 1e-6 / max(1, N)                     so that a whole window of attempts expects
                                                at most 1e-6 runs that are pure chance
    n    = max(5, ceil(ln c / ln q))            the run that is evidence:  q ** n <= c

n is 5 for a backend that was healthy, or of which nothing is known (the smoothing is a prior
belief of 5 % failures worth ten attempts); at 1000/s and 20 % failures n is 15.

A run is over when no failure was added for a whole window: there was no traffic, and what was
before says little about now.

A run must also have lasted ``sustained_s``. Selection avoids a failing backend within about five
attempts and comes back to it a quarter of a second after it recovered, without any change of
state; taking it out costs its whole capacity for seconds. So what fails for less than a second
is left to selection: a backend that fails for 0.7 s of every 1.4 s keeps working in between.

**Success ratio.** Below the threshold over a window with the minimum volume. It sees what no
run shows: a backend that fails two of three, mixed.

**Held failures.** The caller may *hold* a failure while it is unknown whether backend or
request is to blame (:mod:`.correlation`), and later confirm or retract it. A held failure
is no evidence, but it does raise q: doubt works in favour of the backend.

Invariant: per bucket, successes, failures and held are never negative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIOR_FAILURES: Final = 0.5
PRIOR_ATTEMPTS: Final = 10.0
CHANCE: Final = 1e-6
"""Chance runs that one window of attempts may expect: with 10 s windows and steady traffic one
false ejection in 116 days."""
MAX_RATIO: Final = 0.99
"""Cap of q: even what failed nearly always before is out after a long enough run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierPolicy:
    """Figures of the window and of both detectors. Raises ``ValueError`` when out of range."""

    consecutive: int = 5
    """Shortest run of failures that is evidence (Envoy ``consecutive_5xx``, Finagle: 5)."""
    sustained_s: float = 1.0
    """Least time from the first to the last failure of such a run; 0 for any. A fifth of the
    shortest opening of the breaker (5 s): acting on less would cost more than it saves."""
    success_ratio: float = 0.5
    """Least share of successes (Hystrix ``errorThresholdPercentage``: 50)."""
    bucket_s: float = 1.0
    buckets: int = 10
    """Ten buckets of a second (Hystrix ``metrics.rollingStats``: 10 s in 10 buckets)."""
    minimum_volume: int = 20
    """Attempts in the window below which the ratio says nothing (Hystrix
    ``requestVolumeThreshold``: 20)."""

    @property
    def window_s(self) -> float:
        """Length of the whole window."""
        return self.bucket_s * self.buckets

    def __post_init__(self) -> None:
        """Refuse counts below 1 and ratios outside [0, 1)."""
        for name in ("consecutive", "buckets", "minimum_volume"):
            if getattr(self, name) < 1:
                raise ValueError(f"outlier: {name} is {getattr(self, name)}; it must be at least 1")
        if not (math.isfinite(self.bucket_s) and self.bucket_s > 0):
            raise ValueError(f"outlier: bucket is {self.bucket_s:g}s; it must be a finite time above 0")
        if not (math.isfinite(self.sustained_s) and self.sustained_s >= 0):
            raise ValueError(f"outlier: sustained is {self.sustained_s:g}s; it must be a finite time of at least 0")
        if not 0 <= self.success_ratio < 1:
            raise ValueError(
                f"outlier: success_ratio is {self.success_ratio:g}; it must be at least 0 (never ejects) and below 1"
            )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a detector found, not yet a decision: the pool may know a better explanation."""

    rule: str
    since: float
    """When what it rests on began: the start of the run, or of the window."""
    figures: Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a held failure was counted, to confirm or retract it later."""

    bucket: int
    run: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Attempts in the window."""

    successes: int
    failures: int
    held: int

    @property
    def success_ratio(self) -> float | None:
        """Successes among what is certain; ``None`` without any."""
        certain = self.successes + self.failures
        return self.successes / certain if certain else None


def required_run(attempts: int, failures: int, consecutive: int) -> tuple[int, float]:
    """Length of the run that is evidence after such a window, and the q behind it."""
    q = min(MAX_RATIO, (failures + PRIOR_FAILURES) / (attempts + PRIOR_ATTEMPTS))
    chance = CHANCE / max(1, attempts)
    return max(consecutive, math.ceil(math.log(chance) / math.log(q))), q


class OutlierWindow:
    """Recent attempts at one backend, and the run of failures that goes on, if any."""

    __slots__ = (
        "_cleared",
        "_counts",
        "_last_failure",
        "_last_success",
        "_numbers",
        "_policy",
        "_required",
        "_run",
        "_run_failures",
        "_run_figures",
        "_run_held",
        "_run_since",
    )

    def __init__(self, policy: OutlierPolicy) -> None:
        """Start without attempts."""
        self._policy = policy
        self._counts = [[0, 0, 0] for _ in range(policy.buckets)]  # successes, failures, held
        self._numbers = [-1] * policy.buckets  # bucket number, counted from time zero, held in each place
        self._run = 0  # the number of the present run; a success begins the next
        self._run_failures = 0
        self._run_held = 0
        self._run_since = 0.0
        self._required = policy.consecutive
        self._run_figures: dict[str, float | str] = {}
        self._last_success = -math.inf
        self._last_failure = -math.inf
        self._cleared = -1  # runs up to this one are forgotten, and so are their marks

    @property
    def run_length(self) -> int:
        """Failures in a row up to now, held ones included."""
        return self._run_failures + self._run_held

    @property
    def last_success(self) -> float:
        """When an attempt last succeeded; minus infinity if none did."""
        return self._last_success

    def totals(self, now: float) -> Totals:
        """Sums over the window that ends now."""
        newest = int(now // self._policy.bucket_s)
        oldest = newest - self._policy.buckets
        successes = failures = held = 0
        for number, counts in zip(self._numbers, self._counts, strict=True):
            if number > oldest:
                successes += counts[0]
                failures += counts[1]
                held += counts[2]
        return Totals(successes, failures, held)

    def succeeded(self, count: int, now: float) -> None:
        """Count successes in a row; they end a run of failures."""
        self._bucket(now)[0] += count
        self._last_success = now
        if self._run_failures or self._run_held:
            self._end_run()

    def failed(self, count: int, now: float) -> None:
        """Count failures in a row that are certainly the backend's."""
        self._begin_run(now)
        self._bucket(now)[1] += count
        self._run_failures += count

    def hold(self, now: float) -> Mark:
        """Count one failure of which the blame is open."""
        self._begin_run(now)
        self._bucket(now)[2] += 1
        self._run_held += 1
        return Mark(int(now // self._policy.bucket_s), self._run)

    def confirm(self, mark: Mark) -> None:
        """The held failure was the backend's."""
        self._move(mark, held=-1, failures=+1)

    def doubt(self, mark: Mark) -> None:
        """The confirmed failure is held again."""
        self._move(mark, held=+1, failures=-1)

    def retract(self, mark: Mark) -> None:
        """The held failure was not the backend's: as if it had never been."""
        self._move(mark, held=-1, failures=0)

    def clear(self) -> None:
        """Forget everything; marks given out before become void."""
        for counts in self._counts:
            counts[:] = [0, 0, 0]
        self._cleared = self._run
        self._last_success = self._last_failure = -math.inf
        self._end_run()

    def evidence(self, now: float) -> Evidence | None:
        """What speaks against the backend at this moment."""
        if self._run_failures >= self._required and self._last_failure - self._run_since >= self._policy.sustained_s:
            return Evidence(
                "outlier.consecutive", self._run_since, {"consecutive": self._run_failures, **self._run_figures}
            )
        if now - self._last_failure > self._policy.window_s:  # the usual case, and the cheap one
            return None
        totals = self.totals(now)
        volume = totals.successes + totals.failures
        ratio = totals.success_ratio
        if ratio is None or volume < self._policy.minimum_volume or ratio >= self._policy.success_ratio:
            return None
        figures: dict[str, float | str] = {
            "success_ratio": round(ratio, 3),
            "threshold": self._policy.success_ratio,
            "volume": volume,
            "window_s": self._policy.window_s,
        }
        return Evidence("outlier.success_ratio", now - self._policy.window_s, figures)

    def _begin_run(self, now: float) -> None:
        silence_s, self._last_failure = now - self._last_failure, now
        if self._run_failures or self._run_held:
            if silence_s <= self._policy.window_s:
                return
            self._end_run()
        totals = self.totals(now)
        attempts = totals.successes + totals.failures + totals.held
        self._run_since = now
        self._required, q = required_run(attempts, totals.failures + totals.held, self._policy.consecutive)
        self._run_figures = {"required": self._required, "failure_ratio_before": round(q, 4), "volume_before": attempts}

    def _end_run(self) -> None:
        self._run += 1
        self._run_failures = 0
        self._run_held = 0

    def _bucket(self, now: float) -> list[int]:
        number = int(now // self._policy.bucket_s)
        place = number % self._policy.buckets
        counts = self._counts[place]
        if self._numbers[place] != number:
            self._numbers[place] = number
            counts[:] = [0, 0, 0]
        return counts

    def _move(self, mark: Mark, *, held: int, failures: int) -> None:
        if mark.run <= self._cleared:
            return
        place = mark.bucket % self._policy.buckets
        if self._numbers[place] == mark.bucket:
            self._counts[place][2] += held
            self._counts[place][1] += failures
        if mark.run == self._run:
            self._run_held += held
            self._run_failures += failures
