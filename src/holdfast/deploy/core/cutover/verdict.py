"""Whether the new target is worse than the old: what the plan asks of whoever watches, as a rule that can be run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from holdfast.deploy.core.cutover.settings import Thresholds

Verdict: TypeAlias = Literal["go", "wait", "errors", "slow"]
"""``errors`` and ``slow`` mean roll back; ``wait``: too little was seen to say either."""

SURE: Final = 1e-4
"""Chance at which so many errors are no accident, for a judgement on few requests. A stage is judged once a minute, so
a new target that is exactly at the threshold would be rolled back by chance in less than 1 % of the stages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one target answered in a stage."""

    requests: int
    errors: int
    """Of them 5xx."""
    p99_s: float


def judge(old: Seen, new: Seen, limits: Thresholds) -> Verdict:
    """Go on, wait or roll back.

    With enough requests the shares are compared as they are. With fewer, only errors that cannot be chance count: a
    target that answers nothing well need not be given 500 requests to show it, and a single error proves nothing.
    """
    allowed = (old.errors / old.requests if old.requests else 0.0) + limits.errors
    if new.requests < limits.requests:
        return "errors" if _at_least(new.errors, new.requests, allowed) < SURE else "wait"
    if new.errors > allowed * new.requests:
        return "errors"
    if old.requests >= limits.requests and new.p99_s > limits.p99 * old.p99_s:
        return "slow"
    return "go"


def least_errors(requests: int, limits: Thresholds, *, old: float = 0.0) -> int:
    """Fewest errors of so many requests that mean roll back, the old target failing a share ``old`` of its own."""
    allowed = old + limits.errors
    if requests >= limits.requests:
        return int(allowed * requests) + 1
    return next((count for count in range(requests + 1) if _at_least(count, requests, allowed) < SURE), requests + 1)


def _at_least(errors: int, requests: int, share: float) -> float:
    """Chance of that many errors or more if each request fails with that chance: the upper binomial tail."""
    if share >= 1.0:
        return 1.0
    term = (1.0 - share) ** requests
    below = 0.0
    for count in range(errors):
        below += term
        term *= (requests - count) / (count + 1) * share / (1.0 - share)
    return max(0.0, 1.0 - below)
