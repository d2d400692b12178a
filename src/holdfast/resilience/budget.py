"""How many extra attempts a pool can afford: Finagle's retry budget.

Every original request earns a fraction of a retry, every retry or hedge spends a whole
one, and both are forgotten after ``ttl_s``. When a pool fails, the extra load therefore
stays at ``percent`` of the traffic instead of multiplying it by the number of attempts.
A floor per second lets a quiet pool retry at all.

    available = percent / 100 * requests + floor_per_s * ttl_s - spent      (last ttl_s)

The window moves in ten steps, as in Finagle. Unlike there, a step is forgotten only when all of
it is older than ``ttl_s``, so what counts is between 10 and 11 tenths of it old: forgotten a step
early, an outage of just ``ttl_s`` would get its reserve twice. Retries and hedges of one pool must
draw on the same budget: two budgets of 20 % would allow 40 %.

Invariant: whenever an attempt is granted, the attempts granted within the window, that one
included, are at most ``percent / 100 * requests + floor_per_s * ttl_s`` of the same window.

Source: ``com.twitter.finagle.service.RetryBudget`` (ttl 10 s, at least 10 retries/s, 20 %).
"""

from __future__ import annotations

from typing import Final

_STEPS: Final = 10
"""Steps in which the window moves: a tenth of the history is forgotten at a time."""

_ROUNDING: Final = 1e-9
"""Slack for ratios that binary fractions cannot hold: 29 % of 100 requests is 28.999..."""


class RetryBudget:
    """The one budget for all retries and hedges of a pool.

    Args:
        percent: Extra attempts as a share of original requests, 0 or more. 20 keeps a pool
            that fails completely at 1.2 attempts per request.
        floor_per_s: Extra attempts per second that are always allowed, 0 or more. All of
            ``floor_per_s * ttl_s`` may be spent at once.
        ttl_s: How long requests and extra attempts count, in seconds; more than 0.

    Raises:
        ValueError: An argument is out of range.
    """

    __slots__ = (
        "_earned_per_request",
        "_past",
        "_past_available",
        "_requests",
        "_reserve",
        "_spent",
        "_step_ends",
        "_step_s",
    )

    def __init__(self, *, percent: float = 20.0, floor_per_s: float = 10.0, ttl_s: float = 10.0) -> None:
        if percent < 0 or floor_per_s < 0 or not ttl_s > 0:
            raise ValueError(
                f"a retry budget needs percent >= 0, floor_per_s >= 0 and ttl_s > 0; "
                f"got {percent=}, {floor_per_s=}, {ttl_s=}"
            )
        self._earned_per_request = percent / 100
        self._reserve = floor_per_s * ttl_s + _ROUNDING
        self._step_s = ttl_s / _STEPS
        self._step_ends = float("-inf")
        # The step that runs is kept apart from the closed ones, so that a request costs one addition.
        self._requests = 0
        self._spent = 0
        self._past = [(0, 0)] * _STEPS
        self._past_available = self._reserve

    def request(self, now: float) -> None:
        """Count an original request, which earns its share of a retry. ``now`` is monotonic seconds."""
        if now >= self._step_ends:
            self._advance(now)
        self._requests += 1

    def try_spend(self, now: float) -> bool:
        """Take one retry or hedge from the budget; ``False`` when it cannot be afforded."""
        if self.available(now) < 1.0:
            return False
        self._spent += 1
        return True

    def available(self, now: float) -> float:
        """How many extra attempts could be spent now. Never negative."""
        if now >= self._step_ends:
            self._advance(now)
        return max(0.0, self._past_available + self._requests * self._earned_per_request - self._spent)

    def _advance(self, now: float) -> None:
        """Close the step that ran and drop those that are older than the window."""
        steps = (now - self._step_ends) / self._step_s
        if steps >= _STEPS + 1:  # also the very first call, whose last step ended infinitely long ago
            self._past = [(0, 0)] * _STEPS
            self._step_ends = now + self._step_s
        else:
            passed = int(steps) + 1
            recent = [*self._past, (self._requests, self._spent), *[(0, 0)] * (passed - 1)]
            self._past = recent[-_STEPS:]
            self._step_ends += passed * self._step_s
        requests = sum(step[0] for step in self._past)
        spent = sum(step[1] for step in self._past)
        self._past_available = self._reserve + requests * self._earned_per_request - spent
        self._requests = 0
        self._spent = 0
