"""The ledger of one gateway process: budgets, the journal, and what became of each attempt.

What happens to an attempt, and what is left of it whenever the process dies:

==============  =========================================  ==============================================
step            where it is written                        after a crash
==============  =========================================  ==============================================
``reserve``     this process's memory                      forgotten: nothing was sent
``begin``       the journal, by one ``write``              ``orphaned``, charged with its reservation
``end``         the journal, by one ``write``              settled by its true cost
fold            the store, with the journal's mark         the same records are not folded twice
==============  =========================================  ==============================================

A journal that cannot be written refuses new attempts: what cannot be accounted for is not sent. Ends that could not be
written are kept and written as soon as that works again, before anything new is begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from holdfast.gateway.core import limits
from holdfast.gateway.core.budget import Account, Held, Share, Shares, Window, WindowClock, scopes, windows
from holdfast.gateway.core.journal import Begun, Cached, Ended, Record
from holdfast.gateway.core.limits import LimitTable
from holdfast.gateway.core.money import cost, nano, usd
from holdfast.gateway.core.ports import AttemptBegun, AttemptEnded, Holder, Reservation
from holdfast.gateway.core.settings import LedgerSettings
from holdfast.gateway.core.usage import Price
from holdfast.gateway.errors import GatewayError, Refused
from holdfast.gateway.shell.ledger import fold, leases
from holdfast.gateway.shell.ledger import reconcile as reconciling
from holdfast.gateway.shell.ledger.prices import PriceList
from holdfast.gateway.shell.ledger.reconcile import ProviderReport, Reconciled
from holdfast.gateway.shell.ledger.reports import Reports
from holdfast.gateway.shell.ledger.schema import COMPONENT, VERSIONS
from holdfast.gateway.shell.ledger.segments import SEGMENT_BYTES, JournalError, Position, Segments
from holdfast.store import Database, StoreError

FOLD_RECORDS: Final = 2000
"""Records of one transaction: some 50 ms on SQLite, so that nobody waits long for the store."""
ASK_AGAIN_S: Final = 0.25
"""After the store said how little is left, it is believed for this long: a storm of requests on an empty budget asks it
four times a second, not a thousand times."""

TRIM_EVERY_S: Final = 3600.0
TRIM_PAUSE_S: Final = 0.1

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Open:
    """An attempt that was reserved for, and perhaps begun."""

    held: Held
    windows: tuple[Window, Window]
    holder: Holder | None
    begun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Of this process since it started."""

    attempts: int
    open: int
    cost_nano: int
    unpriced: int
    refused: int
    unwritten: int
    """Ends that wait for the journal to be writable."""


class MoneyLedger:
    """Implements :class:`holdfast.gateway.core.ports.Ledger`. Open it before use; close it in the end."""

    def __init__(
        self,
        settings: LedgerSettings,
        database: Database,
        table: LimitTable,
        prices: PriceList,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._database = database
        self.table = table
        """Replaced when the configuration is reloaded."""
        self.prices = prices
        self._wall = wall
        self._monotonic = monotonic
        self._lease_nano = nano(settings.lease_usd)
        self._segments = Segments(Path(settings.path))
        self._folded = Position(0, 0)
        self._folding = asyncio.Lock()
        self._leasing = asyncio.Lock()
        self._clock = WindowClock()
        self._shares = Shares()
        self._known: set[Account] = set()
        """Budgets of which the store has told what this journal held of them before."""
        self._free: dict[Account, tuple[int, float]] = {}
        """Budget -> what was left when the store was last asked, and when that was (monotonic)."""
        self._used: dict[Account, float] = {}
        self._attempts: dict[str, _Open] = {}
        self._unwritten: list[Record] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._cost = self._ended = self._unpriced = self._refused = 0
        self.orphans: list[tuple[str, int]] = []
        """Attempts that the last run left open, and what each was charged."""

    async def open(self) -> None:
        """Take the journal, fold in what is not yet in the store, and account for what a crash left open.

        Raises :class:`JournalError` and ``StoreError``, each with its remedy.
        """
        await self._database.migrate(COMPONENT, VERSIONS)
        self._segments.open()
        try:
            journal, instance = self._segments.id, self._settings.instance
            self._folded, _ = await self._database.write(lambda tx: fold.register(tx, journal, instance))
            self._segments.skip_to(self._folded.segment)
            if self._folded.segment == 0:
                first = (self._segments.numbers() or [1])[0]
                await self._move(Position(first, 0))
            if self._folded.segment == self._segments.end.segment and self._folded.offset > self._segments.end.offset:
                # The machine lost what was not yet forced to its disk, but the store has it: go on behind it.
                self._segments.skip_to(self._folded.segment + 1)
                await self._move(Position(self._segments.end.segment, 0))
            await self.fold()
            self.orphans = await self._database.write(lambda tx: fold.orphan(tx, journal))
            _, seen = await self._database.write(lambda tx: fold.register(tx, journal, instance))
            self._clock = WindowClock(seen)
            await self._take_up_all()
        except BaseException:
            self._segments.close()
            raise
        if self.orphans:
            charged = usd(sum(amount for _, amount in self.orphans))
            log.warning(
                "%d attempts were under way when the gateway died; charged as reserved, %s, until reconciled",
                len(self.orphans),
                charged,
                extra={"action": "ledger_orphans", "attempts": [attempt for attempt, _ in self.orphans[:100]]},
            )
        self._tasks = [
            asyncio.create_task(self._keep(float(self._settings.sync), self._sync), name="ledger sync"),
            asyncio.create_task(self._keep(float(self._settings.fold), self._upkeep), name="ledger fold"),
            asyncio.create_task(self._keep(TRIM_EVERY_S, self._trim), name="ledger retention"),
        ]

    async def close(self) -> None:
        """Fold in the rest, give back what was not spent of shared budgets, let the journal go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        try:
            self._write_rest()
            await self.fold()
            await self._give_back(idle_since=None)
        except (StoreError, JournalError) as error:
            log.warning("the journal keeps what the store did not take: %s", error, extra={"action": "ledger_close"})
        finally:
            await asyncio.to_thread(self._segments.close)

    # ------------------------------------------------------------ the hot path

    def price(self, deployment: str) -> Price | None:
        """Nano-dollars, or that nobody knows."""
        return self.prices.at(deployment, self._wall())

    def budgeted(self, holder: Holder) -> bool:
        """Whether any budget is about this holder: then an unknown price matters (``ledger.unknown_price``)."""
        return bool(self._accounts(holder, self._wall()))

    async def reserve(self, holder: Holder, attempt: str, nano: int, *, wall: float, deadline_s: float) -> Reservation:
        """Put money aside in all budgets of the holder, or in none. See :class:`~.ports.Ledger`."""
        if nano < 0:
            raise ValueError(f"a reservation of {nano} nano-dollars")
        now = self._monotonic()
        wins = windows(self._clock.read(wall, now))
        accounts = limits.budgets(self.table.chain(holder), wins)
        held = self._shares.reserve(accounts, nano)
        if isinstance(held, list):
            held = await self._reserve_more(accounts, nano, deadline_s)
        for account in held.accounts:
            self._used[account] = now
        self._attempts[attempt] = _Open(held, wins, holder)
        return Reservation(attempt=attempt, nano=nano)

    def release(self, reservation: Reservation) -> None:
        """Give it back: the attempt was never sent. What was begun has to be ended instead."""
        attempt = self._attempts.get(reservation.attempt)
        if attempt is not None and not attempt.begun:
            del self._attempts[reservation.attempt]
            self._shares.release(attempt.held)

    def begin(self, begun: AttemptBegun) -> None:
        """Write it down. Raises :class:`Refused` (``overloaded``) when that cannot be done: then nothing is sent."""
        attempt = self._attempts.get(begun.attempt)
        if attempt is None:
            wins = windows(self._clock.read(begun.wall, self._monotonic()))
            attempt = _Open(Held(0, ()), wins, begun.holder)
        elif attempt.begun:
            raise GatewayError(f"attempt {begun.attempt} was begun twice")
        day, month = attempt.windows
        try:
            self._write_rest()
            self._segments.append(Begun(begun, day.number, month.number))
        except JournalError as error:
            log.error("attempts are refused: %s", error, extra={"action": "ledger_unwritable"})  # noqa: TRY400 - the text has it all
            raise Refused(
                "overloaded",
                "the gateway cannot write down what this would cost, so it does not ask",
                retry_after_s=5.0,
            ) from error
        attempt.begun = True
        attempt.holder = begun.holder
        self._attempts[begun.attempt] = attempt

    def end(self, ended: AttemptEnded) -> None:
        """Settle: what it cost takes the place of what was reserved. A second end of an attempt is a bug and raises."""
        attempt = self._attempts.pop(ended.attempt, None)
        if attempt is None or not attempt.begun:
            raise GatewayError(f"attempt {ended.attempt} was ended, but is not under way")
        amount = ended.cost_nano or 0
        self._shares.settle(attempt.held, amount)
        self._charge_unheld(attempt, amount)
        self._ended += 1
        self._cost += amount
        self._unpriced += ended.cost_nano is None
        self._put(Ended(ended))

    def cached(self, holder: Holder, model: str, *, wall: float, request: str, kind: str = "chat") -> None:
        """An answer of the cache was given: it counts as a request and costs nothing."""
        day, month = windows(self._clock.read(wall, self._monotonic()))
        begun = AttemptBegun(
            attempt=f"{request}.cache",
            request=request,
            holder=holder,
            model=model,
            deployment="",
            upstream_model="",
            wall=wall,
            reserved_nano=0,
            input_tokens=0,
            kind=kind,
        )
        self._put(Cached(begun, day.number, month.number))

    def totals(self) -> Totals:
        """For metrics."""
        return Totals(
            attempts=self._ended,
            open=len(self._attempts),
            cost_nano=self._cost,
            unpriced=self._unpriced,
            refused=self._refused,
            unwritten=len(self._unwritten),
        )

    def behind_bytes(self) -> int:
        """What of the journal is not in the store yet; of earlier segments, as if they were full."""
        end, folded = self._segments.end, self._folded
        return max(0, (end.segment - folded.segment) * SEGMENT_BYTES + end.offset - folded.offset)

    async def reconcile(self, reports: Iterable[ProviderReport], *, tenant: str | None = None) -> Reconciled:
        """Put what providers say in place of the reservations that orphans were charged with.

        With ``tenant`` only orphans of that tenant; those of others are unknown.
        """
        told = {report.attempt: report for report in reports}
        found = await self._database.read(lambda tx: reconciling.orphans(tx, list(told), tenant))
        corrections, unpriced = [], []
        for attempt, deployment in sorted(found.items()):
            report = told[attempt]
            price = self.price(deployment)
            if report.usage is None:
                corrections.append(reconciling.Correction(attempt, None, 0))
            elif report.cost_nano is not None:
                corrections.append(reconciling.Correction(attempt, report.usage, report.cost_nano))
            elif price is not None:
                corrections.append(reconciling.Correction(attempt, report.usage, cost(report.usage, price)))
            else:
                unpriced.append(attempt)
        more = await self._database.write(lambda tx: reconciling.correct(tx, corrections))
        for account, difference in more.get(self._segments.id, {}).items():
            share = self._shares.get(account)
            if share is not None and account in self._known:
                share.spent += difference
        settled = {correction.attempt for correction in corrections}
        self.orphans = [each for each in self.orphans if each[0] not in settled]
        return Reconciled(
            changed=len(corrections),
            unknown=tuple(sorted(set(told) - set(found))),
            unpriced=tuple(unpriced),
            difference_nano=sum(
                amount
                for accounts in more.values()
                for account, amount in accounts.items()
                if account.scope.startswith("tenant:") and account.window.period == "day"
            ),
        )

    async def explain_budget(self, holder: Holder) -> list[dict[str, Any]]:
        """Every budget of a holder: its figures, and in words whether and why it refuses."""
        accounts = self._accounts(holder, self._wall())
        found = await self._database.read(lambda tx: [leases.spent(tx, account) for account, _ in accounts])
        explained = []
        for (account, limit), (settled, committed) in zip(accounts, found, strict=True):
            share = self._shares.get(account) or Share(limit)
            left = limit - committed + max(0, share.room)
            if left < 0:
                verdict = f"overdrawn by {usd(-left)}: an attempt cost more than was reserved; everything is refused"
            elif left == 0:
                verdict = "spent: everything that costs is refused"
            else:
                verdict = f"up to {usd(left)} may be asked for here"
            explained.append(
                {
                    "scope": account.scope,
                    "window": account.window.name,
                    "limit": usd(limit),
                    "spent": usd(settled),
                    "reserved_here": usd(share.reserved),
                    "held_here": usd(max(0, share.room)),
                    "ends": _iso(account.window.ends),
                    "verdict": verdict,
                }
            )
        return explained

    def _put(self, record: Record) -> None:
        """Write what already happened; keep it when that fails."""
        self._unwritten.append(record)
        try:
            self._write_rest()
        except JournalError as error:
            if len(self._unwritten) == 1:
                log.error("the journal waits for room: %s", error, extra={"action": "ledger_unwritable"})  # noqa: TRY400

    def _write_rest(self) -> None:
        while self._unwritten:
            self._segments.append(self._unwritten[0])
            del self._unwritten[0]

    def _charge_unheld(self, attempt: _Open, amount: int) -> None:
        """Budgets that were set after the reservation have to know of its cost too."""
        if not amount or attempt.holder is None:
            return
        for scope in scopes(attempt.holder):
            for window in attempt.windows:
                account = Account(scope, window)
                share = self._shares.get(account)
                if share is not None and account not in attempt.held.accounts:
                    share.spent += amount

    # ------------------------------------------------------------ leases

    def _accounts(self, holder: Holder, wall: float) -> list[tuple[Account, int]]:
        return limits.budgets(self.table.chain(holder), windows(self._clock.read(wall, self._monotonic())))

    async def _reserve_more(self, accounts: list[tuple[Account, int]], nano: int, deadline_s: float) -> Held:
        try:
            async with asyncio.timeout(deadline_s), self._leasing:
                held = self._shares.reserve(accounts, nano)  # somebody before us may have got enough for both
                while isinstance(held, list):
                    self._refuse_if_spent(accounts, held, nano)
                    await self._lease(dict.fromkeys(held, nano), deadline_s)
                    self._refuse_if_spent(accounts, held, nano)
                    held = self._shares.reserve(accounts, nano)
                return held
        except (TimeoutError, StoreError) as error:
            self._refused += 1
            raise Refused(
                "overloaded", "the store of the budgets does not answer in time", retry_after_s=1.0, retryable=True
            ) from error

    def _refuse_if_spent(self, accounts: list[tuple[Account, int]], short: list[Account], nano: int) -> None:
        """Raise when the store has said, lately, that there is not enough."""
        for account in short:
            share = self._shares.get(account)
            free, asked = self._free.get(account, (0, float("-inf")))
            if share is None or self._monotonic() - asked >= ASK_AGAIN_S or share.room + free >= nano:
                continue
            self._refused += 1
            limit = next(limit for each, limit in accounts if each == account)
            left = max(0, min(limit, share.room + free))
            over = f", overdrawn by {usd(-share.room - free)}" if share.room + free < 0 else ""
            raise Refused(
                "budget_exhausted",
                f"the budget of {account.scope} for {account.window.name} ({usd(limit)}) has {usd(left)} left{over}, "
                f"and this needs up to {usd(nano)}; it begins anew at {_iso(account.window.ends)}",
                retry_after_s=max(1.0, account.window.ends - self._wall()),
            )

    async def _lease(self, wanted: Mapping[Account, int], deadline_s: float = 10.0) -> None:
        """Ask the store for room for so much in each of these budgets."""
        journal, amount = self._segments.id, self._lease_nano
        fresh = [account for account in wanted if account not in self._known]
        if fresh:
            await self.fold()  # so that the store knows all that is to be known of what we spent
            found = await self._database.read(
                lambda tx: [(account, leases.part(tx, journal, account)) for account in fresh], deadline_s=deadline_s
            )
            for account, part in found:
                if account not in self._known:
                    self._known.add(account)
                    self._take_up(account, part)
        wishes = []
        for account, needed in wanted.items():
            share = self._share(account)
            held = share.committed
            wishes.append(
                leases.Wish(account, share.limit, held, max(0, needed - (held - share.spent - share.reserved)))
            )
        answers = await self._database.write(
            lambda tx: leases.lease(tx, journal, wishes, amount), deadline_s=deadline_s
        )
        now = self._monotonic()
        for answer in answers:
            self._share(answer.account).granted = answer.granted
            self._free[answer.account] = (answer.free, now)

    def _share(self, account: Account) -> Share:
        share = self._shares.get(account)
        if share is None:
            raise AssertionError(f"a lease for {account}, which nobody has asked for")
        return share

    async def _take_up_all(self) -> None:
        """Hold again what the last run held, so that it goes back when nobody asks for it."""
        journal, now = self._segments.id, self._monotonic()
        current = windows(self._clock.read(self._wall(), now))
        for account, part in await self._database.read(lambda tx: leases.parts(tx, journal, current)):
            self._known.add(account)
            self._used[account] = now
            self._shares.open(account, part.granted)
            self._take_up(account, part)

    def _take_up(self, account: Account, part: Share | None) -> None:
        if part is not None:
            share = self._share(account)
            share.granted += min(part.granted, share.limit)
            share.spent += part.spent

    async def _give_back(self, *, idle_since: float | None) -> None:
        """Return what is not needed of parts that were not used since then; of all parts, without a time."""
        journal = self._segments.id
        parts = []
        for account, share in self._shares:
            used = self._used.get(account, 0.0)
            if share.room > 0 and (idle_since is None or used < idle_since):
                share.granted = share.spent + share.reserved  # before it is written: nobody may spend it meanwhile
                self._free.pop(account, None)
                parts.append((account, share.granted))
        if parts:
            await self._database.write(lambda tx: leases.keep(tx, journal, parts))

    # ------------------------------------------------------------ in the background

    async def fold(self) -> None:
        """Take what the journal has into the store, up to now, and remove segments that are done."""
        async with self._folding:
            end = self._segments.end
            journal = self._segments.id
            while self._folded < end:
                start = self._folded
                found, to = await asyncio.to_thread(self._segments.read, start, FOLD_RECORDS)
                if to == start:
                    return
                await self._database.write(lambda tx, f=found, s=start, t=to: fold.fold(tx, journal, f, s, t))  # type: ignore[misc]
                self._folded = to
                if to.segment > start.segment:
                    await asyncio.to_thread(self._segments.drop, to.segment)

    async def _move(self, to: Position) -> None:
        journal, start = self._segments.id, self._folded
        await self._database.write(lambda tx: fold.fold(tx, journal, (), start, to))
        self._folded = to

    async def _sync(self) -> None:
        await asyncio.to_thread(self._segments.sync)

    async def _upkeep(self) -> None:
        with contextlib.suppress(JournalError):
            self._write_rest()
        await self.fold()
        now = self._monotonic()
        idle_since = now - float(self._settings.lease_time)
        async with self._leasing:
            await self._give_back(idle_since=idle_since)
            ahead = {
                account: self._lease_nano // 2
                for account, share in self._shares
                if account in self._known
                and 0 <= share.room < self._lease_nano // 4
                and self._used.get(account, 0.0) >= idle_since
                and self._free.get(account, (1, 0.0))[0] >= self._lease_nano // 2
            }
            if ahead:
                await self._lease(ahead)
        self._forget_old(now)

    def _forget_old(self, now: float) -> None:
        current = windows(self._clock.read(self._wall(), now))
        for account, share in self._shares:
            if account.window not in current and share.reserved == 0:
                self._shares.forget(account)
                self._known.discard(account)
                self._free.pop(account, None)
                self._used.pop(account, None)

    async def _trim(self) -> None:
        before = self._wall() - float(self._settings.retention)
        while before > 0 and await Reports(self._database).trim(before=before):  # noqa: ASYNC110 - a pause, not a poll
            await asyncio.sleep(TRIM_PAUSE_S)  # so that nobody waits long for the store

    async def _keep(self, every_s: float, work: Callable[[], Any]) -> None:
        failing = False
        while True:
            await asyncio.sleep(every_s)
            try:
                await work()
                failing = False
            except (StoreError, JournalError, OSError) as error:
                if not failing:
                    log.warning("the ledger falls behind: %s", error, extra={"action": "ledger_behind"})
                failing = True


def _iso(wall: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))
