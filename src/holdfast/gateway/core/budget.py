"""Budgets of a holder: what this process may still spend, decided in integers, without a clock.

A budget is a scope (``tenant:acme``, ``team:acme/ml``, ``user:acme/ann``, ``key:ID``) in a window (a UTC day or month).
Of each budget this process holds a *share*: the part that the store has granted it. A reservation fits in the shares of
every budget of the chain or is not made::

    granted >= spent + reserved      before each reservation; so the grants of all processes never sum up to more
                                     than the limit, neither does what they spend

What an attempt cost takes the place of what was reserved for it, in the window of the reservation, whenever it ends.
It may be more than was reserved (a provider counts otherwise than we do): then the share is overdrawn, and nothing
fits until the window ends or somebody raises the limit.

**Time.** Windows follow the wall clock, which may be set. :class:`WindowClock` goes by these rules: it never goes back,
so a clock set back neither gives money back nor opens an old window again; and a clock that leaps ahead (by more than
the time that really passed) is believed only after it has stayed there for a minute, so that a leap and its correction
across midnight do not hand out another day's money. Until then time goes on at its usual pace, which is the side on
which nobody overspends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from holdfast.gateway.core.ports import Holder

Period = Literal["day", "month"]

DAY_S: Final = 86_400
LEAP_S: Final = 2.0
"""How far the wall clock may be ahead of elapsed time without being doubted; NTP slews by 0.5 ms per second."""
BELIEVED_AFTER_S: Final = 60.0


class Window(NamedTuple):
    """A UTC day (days since the epoch) or month (months since year 0)."""

    period: Period
    number: int

    @property
    def ends(self) -> float:
        """When the next one begins: seconds since the epoch."""
        if self.period == "day":
            return float((self.number + 1) * DAY_S)
        year, month = divmod(self.number + 1, 12)
        return datetime(year, month + 1, 1, tzinfo=UTC).timestamp()

    @property
    def name(self) -> str:
        """``2026-11-22`` or ``2026-11``."""
        if self.period == "day":
            return datetime.fromtimestamp(self.number * DAY_S, UTC).strftime("%Y-%m-%d")
        year, month = divmod(self.number, 12)
        return f"{year:04d}-{month + 1:02d}"


def windows(wall: float) -> tuple[Window, Window]:
    """The day and the month of a moment, UTC."""
    moment = datetime.fromtimestamp(wall, UTC)
    return Window("day", int(wall // DAY_S)), Window("month", moment.year * 12 + moment.month - 1)


class WindowClock:
    """The wall clock, as far as budgets believe it. See above for the rules."""

    __slots__ = ("_ahead_since", "_at", "_trusted")

    def __init__(self, not_before: float = 0.0) -> None:
        """``not_before``: the latest moment that the records of earlier runs know of."""
        self._trusted = not_before
        self._at: float | None = None
        self._ahead_since: float | None = None

    def read(self, wall: float, now: float) -> float:
        """Seconds since the epoch, never less than before. ``now`` is monotonic."""
        if self._at is None:  # nothing to doubt it by
            self._trusted = max(self._trusted, wall)
        else:
            expected = self._trusted + max(0.0, now - self._at)
            if wall <= expected + LEAP_S:
                self._ahead_since = None
                self._trusted = max(self._trusted, wall)
            else:
                if self._ahead_since is None:
                    self._ahead_since = now
                believed = now - self._ahead_since >= BELIEVED_AFTER_S
                self._trusted = wall if believed else expected
                if believed:
                    self._ahead_since = None
        self._at = now
        return self._trusted


def scopes(holder: Holder) -> tuple[str, ...]:
    """Names of those whom a holder's limits and budgets are about, the widest first."""
    chain = [f"tenant:{holder.tenant}"]
    if holder.team is not None:
        chain.append(f"team:{holder.tenant}/{holder.team}")
    if holder.user is not None:
        chain.append(f"user:{holder.tenant}/{holder.user}")
    # An anonymous caller has no key of its own, but its tenant has one anonymous.
    chain.append(f"key:{holder.tenant}/anonymous" if holder.key_id == "anonymous" else f"key:{holder.key_id}")
    return tuple(chain)


class Account(NamedTuple):
    """A budget in a window."""

    scope: str
    window: Window


@dataclass(slots=True)
class Share:
    """What this process holds of a budget. Nano-dollars."""

    limit: int
    granted: int = 0
    """Of the limit, by the store, in this window, less what went back."""
    spent: int = 0
    """Settled by this process."""
    reserved: int = 0
    """By attempts that are under way."""

    @property
    def room(self) -> int:
        """What may still be reserved without asking; negative when overdrawn."""
        return self.granted - self.spent - self.reserved

    @property
    def committed(self) -> int:
        """What the others have to leave to us."""
        return max(self.granted, self.spent + self.reserved)


@dataclass(frozen=True, slots=True)
class Held:
    """A reservation, and where it was made."""

    nano: int
    accounts: tuple[Account, ...]


class Shares:
    """All shares of this process."""

    __slots__ = ("_shares",)

    def __init__(self) -> None:
        self._shares: dict[Account, Share] = {}

    def __iter__(self) -> Iterator[tuple[Account, Share]]:
        return iter(tuple(self._shares.items()))

    def get(self, account: Account) -> Share | None:
        """The share of a budget, if there is one yet."""
        return self._shares.get(account)

    def open(self, account: Account, limit: int) -> Share:
        """The share of a budget; its limit is the present one, which a reload may have changed."""
        share = self._shares.get(account)
        if share is None:
            share = self._shares[account] = Share(limit)
        if limit < share.limit:
            share.granted = min(share.granted, limit)
        share.limit = limit
        return share

    def reserve(self, accounts: Sequence[tuple[Account, int]], nano: int) -> Held | list[Account]:
        """Put ``nano`` aside in all of these budgets (each with its limit); else in none, and which of them lack it."""
        opened = [(account, self.open(account, limit)) for account, limit in accounts]
        short = [account for account, share in opened if share.room < nano]
        if short:
            return short
        for _, share in opened:
            share.reserved += nano
        return Held(nano, tuple(account for account, _ in accounts))

    def release(self, held: Held) -> None:
        """The attempt was never sent."""
        for account in held.accounts:
            self._shares[account].reserved -= held.nano

    def settle(self, held: Held, cost: int) -> None:
        """The attempt ended, and cost this."""
        for account in held.accounts:
            share = self._shares[account]
            share.reserved -= held.nano
            share.spent += cost

    def forget(self, account: Account) -> None:
        """A window that is over, once nothing is reserved in it."""
        self._shares.pop(account, None)


def grant(free: int, needed: int, lease: int) -> int:
    """How much of what is ``free`` in a shared budget an instance gets: enough for what is needed, or nothing.

    Beyond that up to ``lease``, but at most half of what is left, so that the last of a budget is not all in the hands
    of whoever asked first: each further instance finds half of the rest.
    """
    if needed > free:
        return 0
    return max(needed, min(lease, free // 2))
