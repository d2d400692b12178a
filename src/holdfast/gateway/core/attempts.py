"""What follows a failed attempt: once more here, somewhere else, or an error. One budget and one deadline for all.

    failure                                      next                        shared budget
    -------------------------------------------  --------------------------  -------------
    connect, reset on a kept-alive connection    here again, once            free
    connect, reset, timeout, stalled, cut,       another deployment          pays
    server_error, protocol
    rate_limited, overloaded                     another deployment          pays
    auth                                         another deployment, twice   free
    rejected: context_length_exceeded            one with more room, once    free
    rejected otherwise, filtered                 error
    anything after the commit point              error (a continuation is the caller's decision, and pays)

Every attempt, free or not, counts towards ``retry.attempts``.

What is free could not multiply an outage: a connection that was closed while it was idle carried nothing to the
provider; a refused key and a prompt that is too long are refused before any work is done, say nothing about load, and
come from an operator's or a client's mistake that a second deployment really mends. Were a refused key to pay, a
revoked key at the first of two providers would fail four requests in five.

The shared budget keeps a full outage at 1.2 attempts per request: extra attempts are at most 20 % of the requests of
the last ten seconds, *or* the floor, whichever is more, not their sum (:class:`ExtraAttempts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from holdfast.gateway.core.fleet_health import BUSY, ILL
from holdfast.gateway.core.hedging import TokenBudget
from holdfast.resilience import full_jitter

if TYPE_CHECKING:
    from random import Random

    from holdfast.gateway.core.outcome import Failure
    from holdfast.gateway.core.settings import RetrySettings

WINDOW_S: Final = 10.0
AUTH_MOVES: Final = 2
"""Deployments that a request may leave for a refused key."""
LEAST_LEFT_S: Final = 0.05
"""With less than this until the deadline an attempt would only be cancelled and billed."""
CONTEXT_CODES: Final = frozenset({"context_length_exceeded", "string_above_max_length", "request_too_large"})
"""What providers call a prompt that does not fit. Adapters give the same code for those who only say it in words."""


class ExtraAttempts:
    """The one budget of all retries, fallbacks and hedges of this process.

    :class:`~holdfast.resilience.RetryBudget` grants ``percent`` of the requests *plus* a floor; here it is the larger
    of both. A request at an AI provider costs money, and the floor is for quiet times only.

    Args:
        percent: Of requests; 0 or more.
        floor_per_s: Extra attempts per second that a quiet gateway may make; 0 or more.
    """

    __slots__ = ("_budget", "requests")

    def __init__(self, *, percent: float = 20.0, floor_per_s: float = 0.5) -> None:
        self._budget = TokenBudget(percent, WINDOW_S, floor=floor_per_s * WINDOW_S)
        self.requests = 0

    @property
    def spent(self) -> int:
        """Extra attempts that were granted since the start."""
        return self._budget.spent

    @property
    def refused(self) -> int:
        """How often one could not be afforded since the start."""
        return self._budget.refused

    def request(self, now: float) -> None:
        """Count a client's request, which earns its share."""
        self.requests += 1
        self._budget.request(1, now)

    def try_spend(self, now: float) -> bool:
        """Take one extra attempt; ``False`` when it cannot be afforded."""
        return self._budget.try_spend(1, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Another attempt of the same model, ``after_s`` from now."""

    after_s: float
    where: Literal["same", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Go on with the next model that is able to: ``larger_context`` when this one is too small."""

    larger_context: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The failure is the answer."""

    reason: Literal["attempts", "deadline", "budget", "request", "committed", "nowhere"]
    """``request``: it would fail anywhere. ``nowhere``: no other deployment and no other model."""


Step: TypeAlias = Retry | Fallback | GiveUp


class AttemptBudget:
    """The attempts of one request. Its constructor counts the request in the shared budget.

    Args:
        settings: How many, and how long to wait between them.
        shared: Of the process.
        deadline: Monotonic seconds: that of the commit point.
        now: Monotonic seconds.
        rng: For jitter.
    """

    __slots__ = ("_auth_moves", "_deadline", "_enlarged", "_extra", "_rng", "_settings", "_shared", "_stale", "made")

    def __init__(
        self, settings: RetrySettings, shared: ExtraAttempts, *, deadline: float, now: float, rng: Random
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._deadline = deadline
        self._rng = rng
        self._auth_moves = 0
        self._stale = False
        self._enlarged = False
        self._extra = 0
        self.made = 1
        """Attempts that were granted, the first one included: at most ``retry.attempts``."""
        shared.request(now)

    @property
    def deadline(self) -> float:
        """Until when there has to be a first token, whatever is tried."""
        return self._deadline

    def left_s(self, now: float) -> float:
        """Seconds to the deadline, 0 or more."""
        return max(0.0, self._deadline - now)

    def next_step(
        self,
        failure: Failure,
        *,
        now: float,
        others: bool,
        fallbacks: bool,
        code: str | None = None,
        retry_after_s: float | None = None,
        reused: bool = False,
        committed: bool = False,
        continues: bool = False,
    ) -> Step:
        """What to do about a failed attempt. An attempt that is granted is paid for and counted by this.

        Args:
            failure: How it ended.
            now: Monotonic seconds.
            others: Whether a deployment of this model is left where the request was not tried.
            fallbacks: Whether a model is left to fall back to.
            code: The provider's.
            retry_after_s: The provider's; a single deployment that names a time within the deadline is waited for.
            reused: The connection was kept alive, and no byte of an answer came on it.
            committed: The client has seen tokens.
            continues: The route lets another deployment go on with a text that was cut.
        """
        if committed and not (continues and failure in ILL):
            return GiveUp(reason="committed")
        if self.made >= self._settings.attempts:
            return GiveUp(reason="attempts")
        if self.left_s(now) < LEAST_LEFT_S:
            return GiveUp(reason="deadline")
        if failure == "rejected":
            return self._larger(code, fallbacks)
        if failure == "filtered":
            return GiveUp(reason="request")
        if failure == "auth":
            return self._move(others, fallbacks)
        if reused and not self._stale and failure in {"connect", "reset"}:
            self._stale = True
            self.made += 1
            return Retry(after_s=0.0, where="same")
        return self._elsewhere(failure, now, others, fallbacks, retry_after_s)

    def hedge(self, now: float) -> bool:
        """Take one attempt for a hedge; its tokens are :meth:`.ports.Fleet.may_hedge`'s, which is asked first."""
        if self.made >= self._settings.attempts or self.left_s(now) < LEAST_LEFT_S or not self._shared.try_spend(now):
            return False
        self.made += 1
        return True

    def _larger(self, code: str | None, fallbacks: bool) -> Step:
        if code not in CONTEXT_CODES or self._enlarged or not fallbacks:
            return GiveUp(reason="request")
        self._enlarged = True
        self.made += 1
        return Fallback(larger_context=True)

    def _move(self, others: bool, fallbacks: bool) -> Step:
        if self._auth_moves >= AUTH_MOVES or not (others or fallbacks):
            return GiveUp(reason="nowhere")
        self._auth_moves += 1
        self.made += 1
        return Retry(after_s=0.0, where="other") if others else Fallback()

    def _elsewhere(
        self, failure: Failure, now: float, others: bool, fallbacks: bool, retry_after_s: float | None
    ) -> Step:
        after_s = 0.0
        if not others and not fallbacks:
            if failure in BUSY and retry_after_s is None:
                return GiveUp(reason="nowhere")  # it cools down; nobody knows for how long
            after_s = max(self._backoff(), retry_after_s or 0.0)
            if self.left_s(now) - after_s < LEAST_LEFT_S:
                return GiveUp(reason="deadline")
        if not self._shared.try_spend(now):
            return GiveUp(reason="budget")
        self._extra += 1
        self.made += 1
        if others:
            # Somewhere else nobody is in need of a rest; only a second failure suggests that everybody is.
            return Retry(after_s=self._backoff() if self._extra > 1 else 0.0, where="other")
        return Fallback() if fallbacks else Retry(after_s=after_s, where="same")

    def _backoff(self) -> float:
        base, cap = float(self._settings.backoff_base), float(self._settings.backoff_cap)
        return full_jitter(self._extra, base_s=base, cap_s=cap, rng=self._rng)
