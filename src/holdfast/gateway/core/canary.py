"""Whether a candidate goes on, is rolled back, or has passed.

The candidate is compared with the rest of the model's traffic in the same time. Each criterion is a one-sided test
whose null hypothesis is that the candidate is *within* its limit, so that it is rolled back for what it does, not for
bad luck:

    errors   Wilson lower bound of its error rate  >  limit * Wilson upper bound of the others' (or 1 %)
    latency  share of its first tokens later than  limit * upper bound of the others' p95:  Wilson lower bound > 5 %
    cost     mean of its cost - limit * mean of the others'  >  z * standard error (Welch)
    score    mean of its score + z * standard error  <  the score that is demanded

Looking again and again would convict everybody in the end. So there are few looks, the first one with
``minimum_requests`` of the candidate and each next one with a quarter more, and the k-th look may err with probability
``alpha * 6 / (pi * k) ** 2``, which sums up to alpha over all looks (alpha spending with Bonferroni's bound; over the
four criteria as well). With alpha = 1 % one good candidate in a hundred is rolled back, however long it runs.

Rolled back is final: only another configuration makes another candidate. Passed is not; it is still watched.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from hashlib import blake2b
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from holdfast.gateway.core.hedging import Quantiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from holdfast.gateway.core.settings import CanarySettings

Side = Literal["baseline", "candidate"]

ALPHA: Final = 0.01
CRITERIA: Final = 4
LOOK_GROWTH: Final = 1.25
PASS_AFTER: Final = 10.0
"""Passed with this many times the minimum of requests, and nothing against it."""
LEAST_ERROR_RATE: Final = 0.01
"""Error rates below this are not told apart: 0.02 % against 0.01 % is no reason to roll back."""
FOREVER_S: Final = 1e9
"""Half-life of the first-token histograms: a comparison forgets nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """Nothing against it yet."""

    requests: int
    """Of the candidate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """It gets no more requests."""

    reason: Literal["errors", "latency", "cost", "score"]
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """It may take the whole traffic; an operator decides."""

    requests: int


Verdict: TypeAlias = Going | RolledBack | Passed


class _Mean:
    """Mean and variance without a memory (Welford)."""

    __slots__ = ("_squares", "count", "mean")

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self._squares += step * (value - self.mean)

    @property
    def error_squared(self) -> float:
        return self._squares / (self.count - 1) / self.count if self.count > 1 else math.inf


class _Record:
    __slots__ = ("cost", "errors", "first_tokens", "requests", "score", "timed")

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.first_tokens = Quantiles(FOREVER_S)
        self.timed = 0
        self.cost = _Mean()
        self.score = _Mean()


class Canary:
    """One candidate against the rest of its model.

    Args:
        settings: Shares and limits.
        name: Of the model: which users are the candidate's differs from model to model.
        rolled_back: The verdict of an earlier life under the same configuration.
    """

    __slots__ = ("_baseline", "_candidate", "_look", "_name", "_next_look", "_settings", "verdict")

    def __init__(self, settings: CanarySettings, name: str, *, rolled_back: RolledBack | None = None) -> None:
        self._settings = settings
        self._name = name.encode()
        self._baseline = _Record()
        self._candidate = _Record()
        self._look = 0
        self._next_look = max(1, settings.minimum_requests)
        self.verdict: Verdict = rolled_back or Going(requests=0)

    def side(self, user: bytes, draw: float) -> Side:
        """Where a request goes. ``draw`` in [0, 1) decides for who has no name, or when users do not stick."""
        if isinstance(self.verdict, RolledBack):
            return "baseline"
        place = _place(self._name, user) if self._settings.sticky and user else draw
        return "candidate" if place * 100.0 < self._settings.percent else "baseline"

    def observe(
        self,
        side: Side,
        *,
        failed: bool,
        now: float,
        first_token_s: float | None = None,
        cost_nano: int | None = None,
        score: float | None = None,
    ) -> Verdict:
        """Count one request, and judge when it is time to look. Failures of the request's own making do not count."""
        record = self._candidate if side == "candidate" else self._baseline
        record.requests += 1
        record.errors += failed
        if first_token_s is not None:
            record.timed += 1
            record.first_tokens.observe(first_token_s, now)
        if cost_nano is not None:
            record.cost.add(float(cost_nano))
        if score is not None:
            record.score.add(score)
        if not isinstance(self.verdict, RolledBack) and self._candidate.requests >= self._next_look:
            self.verdict = self._judge(now)
        return self.verdict

    def score(self, score: float) -> None:
        """An answer of the candidate was judged, after it was counted: between 0 and 1."""
        self._candidate.score.add(score)

    def _judge(self, now: float) -> Verdict:
        self._look += 1
        requests = self._candidate.requests
        enough = PASS_AFTER * self._settings.minimum_requests
        following = max(requests + 1.0, requests * LOOK_GROWTH)
        self._next_look = math.ceil(min(following, enough) if requests < enough else following)
        alpha = ALPHA / CRITERIA * 6.0 / (math.pi * self._look) ** 2
        z = NormalDist().inv_cdf(1.0 - alpha / 2.0)  # both sides of a comparison have to be unlucky at once
        found = self._errors(z) or self._latency(z, now) or self._cost(z) or self._score(z)
        if found is not None:
            return found
        if requests >= enough:
            return Passed(requests=requests)
        return Going(requests=requests)

    def _errors(self, z: float) -> RolledBack | None:
        mine, theirs = self._candidate, self._baseline
        low = wilson(mine.errors, mine.requests, z)[0]
        high = max(LEAST_ERROR_RATE, wilson(theirs.errors, theirs.requests, z)[1])
        if low <= self._settings.max_error_ratio * high:
            return None
        figures = {
            "error_rate": round(mine.errors / mine.requests, 4),
            "error_rate_at_least": round(low, 4),
            "baseline_at_most": round(high, 4),
            "limit": self._settings.max_error_ratio,
            "requests": mine.requests,
        }
        return RolledBack(reason="errors", figures=figures)

    def _latency(self, z: float, now: float) -> RolledBack | None:
        mine, theirs = self._candidate, self._baseline
        if theirs.timed < self._settings.minimum_requests or not mine.timed:
            return None
        above = min(1.0, 0.95 + z * math.sqrt(0.95 * 0.05 / theirs.timed))
        p95 = theirs.first_tokens.quantile(above, now)
        if p95 is None:
            return None
        late = mine.first_tokens.share_above(self._settings.max_latency_ratio * p95)
        low = wilson(late * mine.timed, mine.timed, z)[0]
        if low <= 0.05:
            return None
        own = mine.first_tokens.quantile(0.95, now) or 0.0
        figures = {
            "p95_s": round(own, 4),
            "baseline_p95_at_most_s": round(p95, 4),
            "late_at_least": round(low, 4),
            "limit": self._settings.max_latency_ratio,
            "requests": mine.timed,
        }
        return RolledBack(reason="latency", figures=figures)

    def _cost(self, z: float) -> RolledBack | None:
        mine, theirs, limit = self._candidate.cost, self._baseline.cost, self._settings.max_cost_ratio
        if min(mine.count, theirs.count) < self._settings.minimum_requests:
            return None
        error = math.sqrt(mine.error_squared + limit * limit * theirs.error_squared)
        if mine.mean - limit * theirs.mean <= z * error:
            return None
        figures = {"mean_nano": round(mine.mean), "baseline_mean_nano": round(theirs.mean), "limit": limit}
        return RolledBack(reason="cost", figures={**figures, "requests": mine.count})

    def _score(self, z: float) -> RolledBack | None:
        mine, least = self._candidate.score, self._settings.min_score
        if least is None or mine.count < self._settings.minimum_requests:
            return None
        # Scores that are all the same have no variance, but one more answer of another kind could come.
        error = math.sqrt(mine.error_squared + 0.25 / (mine.count * mine.count))
        if mine.mean + z * error >= least:
            return None
        return RolledBack(reason="score", figures={"score": round(mine.mean, 4), "limit": least, "answers": mine.count})


def sampled(percent: float, request: bytes) -> bool:
    """Whether a request is one of the ``percent`` that go to the shadow as well; the same request, the same answer."""
    return _place(b"shadow", request) * 100.0 < percent


def wilson(hits: float, count: int, z: float) -> tuple[float, float]:
    """Bounds of a share (Wilson, 1927); (0, 1) when nothing was counted."""
    if count <= 0:
        return 0.0, 1.0
    share = hits / count
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1.0 - share) / count + z * z / (4.0 * count * count))
    scale = 1.0 + z * z / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _place(salt: bytes, name: bytes) -> float:
    return int.from_bytes(blake2b(name, digest_size=8, key=salt[:64]).digest(), "big") / 2.0**64
