"""What a holder may do: the limits of its tenant, team, user and key, of which the narrowest holds.

Rates are counted by each process for itself: several gateways that share a store let through as many times the rate.
Money is shared exactly (:mod:`.budget`); requests per minute protect machines, and asking a store about each of them
would cost more than it protects.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from holdfast.gateway.core.budget import Account, Window, scopes
from holdfast.gateway.core.money import nano
from holdfast.gateway.core.ports import Holder
from holdfast.gateway.core.settings import LimitSettings, LimitsSettings, Priority
from holdfast.resilience.rate import RateLimit

_NONE: Final = LimitSettings()
_MINUTE_S: Final = 60.0
_BUCKETS: Final = 50_000
"""Scopes whose rates are remembered before the full buckets are swept out."""

Chain = Sequence[tuple[str, LimitSettings]]
"""Scopes of a holder with the limits of each, the widest first."""


class LimitTable:
    """Whose limits are what. Those of keys are looked up when asked for, since they change at run time."""

    __slots__ = ("_key", "_settings")

    def __init__(self, settings: LimitsSettings, key: Callable[[str], LimitSettings | None] = lambda _: None) -> None:
        """``key``: the limits of a key by its id, ``None`` for one that has none of its own."""
        self._settings = settings
        self._key = key

    def chain(self, holder: Holder) -> Chain:
        """The limits of all who pay for a request."""
        settings = self._settings
        found: list[LimitSettings] = [settings.tenants.get(holder.tenant, _NONE)]
        if holder.team is not None:
            found.append(settings.teams.get(f"{holder.tenant}/{holder.team}", _NONE))
        if holder.user is not None:
            found.append(settings.users.get(f"{holder.tenant}/{holder.user}", _NONE))
        own = self._key(holder.key_id)
        found.append(settings.default if own is None else own)
        return tuple(zip(scopes(holder), found, strict=True))


def budgets(chain: Chain, windows: tuple[Window, Window]) -> list[tuple[Account, int]]:
    """The budgets that a chain has in these windows, each with its limit in nano-dollars."""
    day, month = windows
    found = []
    for scope, settings in chain:
        daily, monthly = _amounts(settings)
        if daily is not None:
            found.append((Account(scope, day), daily))
        if monthly is not None:
            found.append((Account(scope, month), monthly))
    return found


def allows(chain: Chain, model: str) -> str | None:
    """Whether every one of them may use a model; the scope that may not, otherwise."""
    for scope, settings in chain:
        if settings.models is not None and not any(fnmatch.fnmatchcase(model, each) for each in settings.models):
            return scope
    return None


def priority(chain: Chain) -> Priority:
    """``batch`` as soon as one of them is."""
    return "batch" if any(settings.priority == "batch" for _, settings in chain) else "interactive"


@lru_cache(maxsize=4096)
def _amounts(settings: LimitSettings) -> tuple[int | None, int | None]:
    daily, monthly = settings.daily_usd, settings.monthly_usd
    return None if daily is None else nano(daily), None if monthly is None else nano(monthly)


class Limits:
    """Requests and tokens per minute of each scope, in this process."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str, int], RateLimit] = {}

    def take(self, chain: Chain, tokens: int, now: float) -> float:
        """Take a request and its estimated tokens from every rate of the chain, or nothing.

        Returns:
            0 when all of them allow it, else the seconds until the slowest one does.
        """
        wanted = [
            (self._bucket(scope, kind, rate, now), count)
            for scope, settings in chain
            for kind, rate, count in (
                ("requests", settings.requests_per_minute, 1),
                ("tokens", settings.tokens_per_minute, tokens),
            )
            if rate is not None
        ]
        wait = max((bucket.missing(now, count) for bucket, count in wanted), default=0.0)
        if wait == 0.0:
            for bucket, count in wanted:
                bucket.take(now, count)
        return wait

    def _bucket(self, scope: str, kind: str, rate: int, now: float) -> RateLimit:
        place = (scope, kind, rate)
        bucket = self._buckets.get(place)
        if bucket is None:
            if len(self._buckets) >= _BUCKETS:
                self._buckets = {key: value for key, value in self._buckets.items() if not value.full(now)}
            bucket = self._buckets[place] = RateLimit(max(rate, 1) / _MINUTE_S, max(rate, 1))
        return bucket
