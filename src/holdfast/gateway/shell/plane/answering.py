"""One request, over all the attempts that it takes.

The attempts of a request share one budget and one deadline, whether they are retries, fallbacks or hedges. They are
made one after the other, or two at once when the first token is late and the route hedges; whichever commits first
wins, and the other is given up. Nothing goes to the client before that, so that all of it is invisible but for the
time it takes and ``x-holdfast-attempts``.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from holdfast.gateway.core.attempts import AttemptBudget, Fallback, GiveUp, Retry
from holdfast.gateway.core.ports import Chosen, Nowhere, Wait
from holdfast.gateway.errors import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.gateway.core.outcome import Failure, Rejection
    from holdfast.gateway.core.ports import Need
    from holdfast.gateway.shell.plane.ask import Ask
    from holdfast.gateway.shell.plane.attempt import Attempt
    from holdfast.gateway.shell.plane.gateway import Gateway
    from holdfast.gateway.shell.plane.making import Made


_STOPS: Final = {
    "attempts": "retry.attempts",
    "deadline": "timeouts.answer",
    "budget": "the retry budget that all requests share",
    "nowhere": "no other deployment being left",
}


class Answering:
    """The attempts of one request."""

    def __init__(self, gateway: Gateway, ask: Ask, *, deadline: float, tried: Sequence[str] = ()) -> None:
        """``deadline`` is for the commit point, monotonic. ``tried``: deployments that had their turn."""
        self._gateway = gateway
        self._ask = ask
        self._deadline = deadline
        self._budget = AttemptBudget(
            gateway.settings.retry, gateway.budget, deadline=deadline, now=gateway.clock(), rng=gateway.rng
        )
        self._tiers = ask.route.tiers
        self._tried = list(tried)
        self._live: list[Attempt] = []
        self._fresh = False
        self._unsayable: Refused | None = None
        self.attempts = 0
        self.trail: list[tuple[str, str]] = []
        """Deployment and failure of each attempt that failed."""
        self._rejection: Rejection | None = None

    async def first(self) -> Made:
        """The attempt that may be told to the client. Raises :class:`Refused` when none can be had.

        Whoever cancels this has given up the attempts with :meth:`give_up` already, or does so now.
        """
        try:
            while True:
                chosen = await self._choose()
                try:
                    made = await self._make(chosen)
                except Refused as refused:
                    self._cannot(chosen, refused)
                    continue
                winner = await self._race(made)
                if winner is not None:
                    return winner
                await self._go_on(made)
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """The client is gone, or somebody has won: stop whatever is under way."""
        live, self._live = self._live, []
        for attempt in live:
            attempt.give_up()

    def _cannot(self, chosen: Chosen, refused: Refused) -> None:
        """What is asked cannot be said to this provider: to another perhaps. Raises ``refused`` when to none."""
        if refused.reason != "unsupported":
            raise refused
        self._unsayable = self._unsayable or refused
        self._tiers = tuple(
            kept for tier in self._tiers if (kept := tuple(name for name in tier if name != chosen.deployment))
        )
        if not self._tiers:
            raise self._unsayable

    # Where to.

    async def _choose(self) -> Chosen:
        gateway, ask = self._gateway, self._ask
        need, since = ask.need, None
        while True:
            now = gateway.clock()
            if since is None and gateway.waiting.ahead(self._tiers, need):
                found: Chosen | Wait | Nowhere = Wait(retry_after_s=1.0)
            else:
                found = gateway.fleet.choose(self._tiers, need, tried=self._tried, now=now)
            if isinstance(found, Chosen):
                return found
            if isinstance(found, Nowhere):
                raise self._nowhere(found)
            need = await self._wait(found, need, now, since)
            since = now if since is None else since
            ask.call.seen.queued_s = gateway.clock() - since

    async def _wait(self, wait: Wait, need: Need, now: float, since: float | None) -> Need:
        """Queue until a place may be free. Raises :class:`Refused` when that takes too long."""
        gateway, ask = self._gateway, self._ask
        until = min(self._deadline, (now if since is None else since) + gateway.settings.admission.queue_timeout)
        woken = None if now >= until else await gateway.waiting.until_free(self._tiers, need, until, since)
        if woken is None:
            raise Refused(
                "overloaded",
                f"every deployment of {ask.model} has as much in flight as it can carry",
                retry_after_s=max(1.0, wait.retry_after_s),
                retryable=True,
            )
        return woken

    def _nowhere(self, found: Nowhere) -> Refused:
        rejection = self._rejection
        if rejection is not None:
            return self._said(rejection)
        if found.reason == "unsuited":
            detail = "; ".join(f"{name}: {why}" for name, why in found.detail.items())
            return Refused("unsupported", f"{found.message} ({detail})" if detail else found.message)
        return Refused("overloaded", found.message, retry_after_s=found.retry_after_s, retryable=True)

    # One attempt, and perhaps a hedge.

    async def _make(self, chosen: Chosen, *, hedge: bool = False) -> Made:
        made = await self._gateway.make(self._ask, chosen, deadline=self._deadline, hedge=hedge, fresh=self._fresh)
        self.attempts += 1
        self._live.append(made.attempt)
        made.attempt.start()
        return made

    async def _race(self, made: Made) -> Made | None:
        """The first of the attempt and its hedge to commit; ``None`` when none did."""
        ask = self._ask
        hedges = ask.route.settings.hedge if ask.route.settings is not None else None
        after_s = made.chosen.hedge_after_s
        attempt = made.attempt
        if hedges is None or not hedges.enabled or after_s is None or attempt.reading is None:
            return await self._outcome(made)
        done, _ = await asyncio.wait((attempt.committed,), timeout=after_s)
        if done:
            return await self._outcome(made)
        rival = await self._hedge(made)
        if rival is None:
            return await self._outcome(made)
        pair = {made.attempt.committed: made, rival.attempt.committed: rival}
        waiting = set(pair)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                each = pair[future]
                if future.result():
                    self._live.remove(each.attempt)
                    self.give_up()
                    return each
                self._failed(each)
        return None

    async def _hedge(self, made: Made) -> Made | None:
        gateway, ask = self._gateway, self._ask
        now = gateway.clock()
        found = gateway.fleet.choose(self._tiers, ask.need, tried=[*self._tried, made.chosen.deployment], now=now)
        if not isinstance(found, Chosen) or found.trial or found.deployment == made.chosen.deployment:
            return None
        if not gateway.fleet.may_hedge(ask.need, now=now) or not self._budget.hedge(now):
            return None
        with contextlib.suppress(Refused):  # no money for two: the first one goes on alone
            return await self._make(found, hedge=True)
        return None

    async def _outcome(self, made: Made) -> Made | None:
        if await made.attempt.committed:
            self._live.remove(made.attempt)
            return made
        self._failed(made)
        return None

    def _failed(self, made: Made) -> None:
        attempt = made.attempt
        if attempt in self._live:
            self._live.remove(attempt)
        rejection = attempt.rejection
        if rejection is not None:
            self._rejection = rejection
            self.trail.append((made.chosen.deployment, rejection.failure))
        self._tried.append(made.chosen.deployment)

    # What next.

    async def _go_on(self, made: Made) -> None:
        """Return to try again, perhaps after a pause; raise :class:`Refused` when that was all."""
        gateway, route = self._gateway, self._ask.route
        rejection = self._rejection
        if rejection is None:
            raise Refused("upstream_failed", "the attempt ended without an answer", retryable=True)
        mine = {name for tier in route.tiers[: route.own] for name in tier}
        left = [name for tier in self._tiers for name in tier if name not in self._tried]
        own = [name for name in left if name in mine]
        behind = [name for name in left if name not in mine]
        step = self._budget.next_step(
            rejection.failure,
            now=gateway.clock(),
            others=bool(own),
            fallbacks=bool(behind) or (rejection.failure == "rejected" and bool(own)),
            code=rejection.code,
            retry_after_s=rejection.retry_after_s,
            reused=made.attempt.stale,
        )
        if isinstance(step, GiveUp):
            raise self._said(rejection, stopped_by=_STOPS.get(step.reason, ""))
        if isinstance(step, Fallback) and step.larger_context:
            small = gateway.deployments[made.chosen.deployment].context
            self._tried += [
                name
                for name in (*own, *behind)
                if small is not None and (gateway.deployments[name].context or small + 1) <= small
            ]
        if isinstance(step, Retry):
            if step.where == "same":
                self._fresh = True
                self._tried.remove(made.chosen.deployment)
            if step.after_s > 0:
                await asyncio.sleep(step.after_s)

    def _said(self, rejection: Rejection, *, stopped_by: str = "") -> Refused:
        """What the client is told of the last failure."""
        failure: Failure = rejection.failure
        reason: Reason
        status: int | None = None
        if failure in ("rejected", "filtered"):
            reason, status = "upstream_rejected", rejection.status if 400 <= rejection.status < 500 else 400
            if rejection.code == "blocked":
                reason, status = "blocked", None
        elif failure == "rate_limited":
            reason = "upstream_rate_limited"
        elif failure == "overloaded":
            reason = "overloaded"
        elif failure in ("timeout", "stalled"):
            reason = "timeout"
        else:
            reason = "upstream_failed"
        where = ", ".join(f"{name}: {why}" for name, why in _tail(self.trail))
        words = rejection.message if failure != "auth" else "the gateway's own key was refused; its operator was told"
        tail = f"; stopped by {stopped_by}" if stopped_by else ""
        plain = reason in ("upstream_rejected", "blocked")
        return Refused(
            reason,
            words if plain else f"{words} (attempts {self.attempts}: {where}{tail})",
            status=status,
            param=rejection.param,
            code=rejection.code,
            retry_after_s=rejection.retry_after_s,
            retryable=reason in ("upstream_rate_limited", "overloaded", "timeout", "upstream_failed"),
        )


def _tail(trail: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    return trail[-5:]
