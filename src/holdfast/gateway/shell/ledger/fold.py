"""From the journal into the store: statements that run inside the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.gateway.core.budget import DAY_S, Account, Window, scopes, windows
from holdfast.gateway.core.journal import Cached, Ended, Record
from holdfast.gateway.core.ports import AttemptBegun, AttemptEnded, Holder
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.shell.ledger.segments import JournalError, Position

if TYPE_CHECKING:
    from holdfast.store import Row, Tx

OPEN: Final = "open"
ORPHANED: Final = "orphaned"

_COLUMNS: Final = (
    "attempt, request, journal, tenant, team, holder, key_id, model, deployment, upstream_model, kind, hedge, shadow,"
    " day, began, reserved, ended, outcome, status, cost, input_tokens, output_tokens, cache_read_tokens,"
    " cache_write_tokens, reasoning_tokens, estimated, details, first_token, duration"
)
_INSERT: Final = (
    f"INSERT INTO gateway_attempts ({_COLUMNS}) VALUES ({', '.join('?' * 29)}) ON CONFLICT (attempt) DO NOTHING"  # noqa: S608 - names and marks
)
_UPDATE: Final = (
    "UPDATE gateway_attempts SET ended = ?, outcome = ?, status = ?, cost = ?, input_tokens = ?, output_tokens = ?,"
    " cache_read_tokens = ?, cache_write_tokens = ?, reasoning_tokens = ?, estimated = ?, details = ?,"
    " first_token = ?, duration = ? WHERE attempt = ?"
)
_SPEND: Final = (
    "INSERT INTO gateway_shares (scope, period, number, journal, granted, spent) VALUES (?, ?, ?, ?, 0, ?)"
    " ON CONFLICT (scope, period, number, journal) DO UPDATE SET spent = gateway_shares.spent + excluded.spent"
)
_TAG: Final = "INSERT INTO gateway_tags (attempt, tag) VALUES (?, ?) ON CONFLICT (attempt, tag) DO NOTHING"
_NEVER: Final = AttemptEnded(
    attempt="", wall=0.0, outcome=OPEN, status=0, usage=Usage(), cost_nano=None, first_token_s=None, duration_s=0.0
)
_encode = msgspec.msgpack.encode


def register(tx: Tx, journal: str, instance: str) -> tuple[Position, float]:
    """Where this journal is folded up to, and the latest moment it knows of."""
    tx.run(
        "INSERT INTO gateway_journals (journal, instance, segment, place, wall) VALUES (?, ?, 0, 0, 0)"
        " ON CONFLICT (journal) DO UPDATE SET instance = excluded.instance",
        journal,
        instance,
    )
    row = tx.one("SELECT segment, place, wall FROM gateway_journals WHERE journal = ?", journal)
    if row is None:
        raise AssertionError("a row that was just written is not there")
    return Position(row[0], row[1]), float(row[2])


def fold(tx: Tx, journal: str, found: Sequence[Record], start: Position, end: Position) -> None:
    """Take these records in, and move the mark from ``start`` to ``end``.

    Raises :class:`JournalError` when the mark is elsewhere: somebody else folds a copy of this journal.
    """
    moments = [record.begun.wall for record in found if not isinstance(record, Ended)]
    moved = tx.run(
        "UPDATE gateway_journals SET segment = ?, place = ?, wall = CASE WHEN wall < ? THEN ? ELSE wall END"
        " WHERE journal = ? AND segment = ? AND place = ?",
        end.segment,
        end.offset,
        latest := max(moments, default=0.0),
        latest,
        journal,
        start.segment,
        start.offset,
    )
    if moved != 1:
        raise JournalError(
            f"journal {journal} is not folded up to where it should be: is a copy of its directory in use elsewhere? "
            "Two processes need two directories"
        )
    ends = {record.ended.attempt: record.ended for record in found if isinstance(record, Ended)}
    spent: dict[Account, int] = defaultdict(int)
    rows: list[tuple[Any, ...]] = []
    tags: list[tuple[str, str]] = []
    for record in found:
        if isinstance(record, Ended):
            continue
        begun = record.begun
        ended = _cached(begun) if isinstance(record, Cached) else ends.pop(begun.attempt, _NEVER)
        rows.append(_row(begun, ended, journal, record.day))
        tags += [(begun.attempt, tag) for tag in dict.fromkeys(begun.holder.tags)]
        if ended.cost_nano:
            _add(spent, begun.holder, Window("day", record.day), ended.cost_nano)
    tx.many(_INSERT, rows)
    if tags:
        tx.many(_TAG, tags)
    if ends:
        _end_earlier(tx, ends, spent)
    spend(tx, journal, spent)


def _end_earlier(tx: Tx, ends: dict[str, AttemptEnded], spent: dict[Account, int]) -> None:
    """Ends of attempts whose begin was folded before."""
    holders = _holders(tx, ends)
    tx.many(_UPDATE, [(*_told(ended), attempt) for attempt, ended in ends.items() if attempt in holders])
    for attempt, ended in ends.items():
        if attempt in holders and ended.cost_nano:
            holder, day = holders[attempt]
            _add(spent, holder, day, ended.cost_nano)


def _holders(tx: Tx, attempts: Iterable[str]) -> dict[str, tuple[Holder, Window]]:
    wanted = list(attempts)
    found = {}
    for at in range(0, len(wanted), 500):
        some = wanted[at : at + 500]
        marks = ", ".join("?" * len(some))
        for row in tx.all(
            f"SELECT attempt, tenant, key_id, team, holder, day FROM gateway_attempts WHERE attempt IN ({marks})",  # noqa: S608 - marks only
            *some,
        ):
            found[str(row[0])] = (holder_of(row[1:5]), Window("day", row[5]))
    return found


def orphan(tx: Tx, journal: str) -> list[tuple[str, int]]:
    """End what this journal's earlier process left open: its reservation is charged until somebody knows better.

    Returns the attempts, and what each was charged.
    """
    rows = tx.all(
        "SELECT attempt, reserved, tenant, key_id, team, holder, day FROM gateway_attempts"
        " WHERE journal = ? AND outcome = 'open' ORDER BY attempt",
        journal,
    )
    spent: dict[Account, int] = defaultdict(int)
    for row in rows:
        _add(spent, holder_of(row[2:6]), Window("day", row[6]), row[1])
    tx.many(
        "UPDATE gateway_attempts SET outcome = 'orphaned', cost = reserved, estimated = 1 WHERE attempt = ?",
        [(row[0],) for row in rows],
    )
    spend(tx, journal, spent)
    return [(str(row[0]), int(row[1])) for row in rows]


def spend(tx: Tx, journal: str, spent: dict[Account, int]) -> None:
    """Add to what a journal has spent; in one order everywhere, so that two of them do not wait for each other."""
    rows = [(*account_key(account), journal, amount) for account, amount in sorted(spent.items()) if amount]
    if rows:
        tx.many(_SPEND, rows)


def charge(spent: dict[Account, int], row: Row, amount: int) -> None:
    """Add an amount for a row of ``tenant, key_id, team, holder, day``."""
    _add(spent, holder_of(row[:4]), Window("day", row[4]), amount)


def account_key(account: Account) -> tuple[str, str, int]:
    """The columns that name a budget in a window."""
    return account.scope, account.window.period, account.window.number


def holder_of(row: Row) -> Holder:
    """From ``tenant, key_id, team, holder``."""
    return Holder(tenant=row[0], key_id=row[1], team=row[2], user=row[3])


def month_of(day: Window) -> Window:
    """The month that a day lies in."""
    return windows(datetime.fromtimestamp(day.number * DAY_S, UTC).timestamp())[1]


def _add(spent: dict[Account, int], holder: Holder, day: Window, amount: int) -> None:
    month = month_of(day)
    for scope in scopes(holder):
        spent[Account(scope, day)] += amount
        spent[Account(scope, month)] += amount


def _row(begun: AttemptBegun, ended: AttemptEnded, journal: str, day: int) -> tuple[Any, ...]:
    holder = begun.holder
    told = _told(ended)
    return (
        begun.attempt,
        begun.request,
        journal,
        holder.tenant,
        holder.team,
        holder.user,
        holder.key_id,
        begun.model,
        begun.deployment,
        begun.upstream_model,
        begun.kind,
        int(begun.hedge),
        int(begun.shadow),
        day,
        begun.wall,
        begun.reserved_nano,
        *told,
    )


def _told(ended: AttemptEnded) -> tuple[Any, ...]:
    usage = ended.usage
    return (
        None if ended.outcome == OPEN else ended.wall,
        ended.outcome,
        ended.status,
        ended.cost_nano,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens + usage.cache_write_long_tokens,
        usage.reasoning_tokens,
        int(usage.estimated),
        _encode(usage),
        ended.first_token_s,
        ended.duration_s,
    )


def _cached(begun: AttemptBegun) -> AttemptEnded:
    return AttemptEnded(
        attempt=begun.attempt,
        wall=begun.wall,
        outcome="cached",
        status=200,
        usage=Usage(),
        cost_nano=0,
        first_token_s=None,
        duration_s=0.0,
    )
