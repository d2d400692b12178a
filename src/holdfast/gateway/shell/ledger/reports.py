"""What was used and what it cost, by whatever it is asked for; and the whole of it, for export."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, TypeAlias

import msgspec

from holdfast.gateway.core.budget import DAY_S, Window, windows
from holdfast.gateway.core.money import usd
from holdfast.gateway.shell.ledger.fold import month_of
from holdfast.store import Database, Tx

Dimension: TypeAlias = Literal["key", "model", "deployment", "team", "user", "tag", "day", "outcome", "kind", "tenant"]

MAX_PAGE: Final = 1000
_EXPORT_ROWS: Final = 1000
_TRIM_ROWS: Final = 1000

_COLUMN: Final[dict[str, str]] = {
    "tenant": "a.tenant",
    "key": "a.key_id",
    "model": "a.model",
    "deployment": "a.deployment",
    "team": "a.team",
    "user": "a.holder",
    "tag": "t.tag",
    "day": "a.day",
    "outcome": "a.outcome",
    "kind": "a.kind",
}
_SUMS: Final = (
    "COUNT(*), COUNT(DISTINCT a.request), COALESCE(SUM(a.input_tokens), 0), COALESCE(SUM(a.output_tokens), 0),"
    " COALESCE(SUM(a.cache_read_tokens), 0), COALESCE(SUM(a.cache_write_tokens), 0),"
    " COALESCE(SUM(a.reasoning_tokens), 0), COALESCE(SUM(a.cost), 0),"
    " COALESCE(SUM(CASE WHEN a.cost IS NULL AND a.outcome <> 'open' THEN 1 ELSE 0 END), 0),"
    " COALESCE(SUM(a.estimated), 0), COALESCE(SUM(CASE WHEN a.outcome = 'open' THEN 1 ELSE 0 END), 0)"
)
_EXPORTED: Final = (
    "attempt", "request", "tenant", "team", "user", "key", "model", "deployment", "upstream_model", "kind", "hedge",
    "shadow", "began", "ended", "outcome", "status", "reserved_nano", "cost_nano", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "estimated", "first_token_s", "duration_s",
)  # fmt: skip
_EXPORT: Final = (
    "a.attempt, a.request, a.tenant, a.team, a.holder, a.key_id, a.model, a.deployment, a.upstream_model, a.kind,"
    " a.hedge, a.shadow, a.began, a.ended, a.outcome, a.status, a.reserved, a.cost, a.input_tokens, a.output_tokens,"
    " a.cache_read_tokens, a.cache_write_tokens, a.reasoning_tokens, a.estimated, a.first_token, a.duration"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which attempts, and how they are put together. ``tenant`` is ``None`` for operators only."""

    tenant: str | None
    since: float
    """Seconds since the epoch; whole UTC days are counted, the one of this moment among them."""
    until: float
    by: tuple[Dimension, ...] = ()
    where: tuple[tuple[Dimension, str], ...] = ()
    """Only attempts of which all of these are so."""
    limit: int = 100
    offset: int = 0

    def __post_init__(self) -> None:
        for name in (*self.by, *(name for name, _ in self.where)):
            if name not in _COLUMN:
                raise ValueError(f"there is no {name!r} to group or choose by; there are {', '.join(_COLUMN)}")
        if not 1 <= self.limit <= MAX_PAGE or self.offset < 0:
            raise ValueError(f"a page has 1 to {MAX_PAGE} rows, and an offset is 0 or more")
        if not 0 <= self.since <= self.until:
            raise ValueError("since comes before until")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """One group. With ``tag`` among the dimensions an attempt counts once for each of its tags."""

    group: dict[str, str | None]
    attempts: int
    requests: int
    """Distinct ones: retries and hedges of one request are several attempts."""
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_nano: int
    cost: str
    """The same in dollars, exactly."""
    unpriced: int
    """Attempts whose price nobody knows: they are not in the cost."""
    estimated: int
    """Attempts of which some figure is our estimate."""
    open: int
    """Attempts under way, or not yet told to be over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of the groups, in the order of their names."""

    rows: tuple[UsageRow, ...]
    next: int | None
    """Offset of the next page."""


class Reports:
    """Reads what the ledger has folded in: up to ``ledger.fold`` behind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ready(self) -> None:
        """Return if the store answers. Raises ``StoreError``."""
        await self._database.read(lambda tx: tx.one("SELECT 1"), deadline_s=2.0)

    async def usage(self, query: Query) -> Page:
        """Sums by group."""
        where, values = _where(query)
        columns = ", ".join(_COLUMN[name] for name in query.by)
        tagged = "tag" in query.by or any(name == "tag" for name, _ in query.where)
        source = "gateway_attempts a" + (" JOIN gateway_tags t ON t.attempt = a.attempt" if tagged else "")
        sql = f"SELECT {_SUMS}{', ' if columns else ''}{columns} FROM {source} WHERE {where}"  # noqa: S608 - names from a table above
        if columns:
            sql += f" GROUP BY {columns} ORDER BY {columns} LIMIT {query.limit + 1} OFFSET {query.offset}"
        found = await self._database.read(lambda tx: tx.all(sql, *values), deadline_s=30.0)
        rows = tuple(_usage_row(query.by, row) for row in found[: query.limit])
        return Page(rows=rows, next=query.offset + query.limit if len(found) > query.limit else None)

    async def export(self, query: Query, form: Literal["csv", "jsonl"]) -> AsyncGenerator[bytes, None]:
        """Every attempt, a piece at a time, in the order in which they began."""
        where, values = _where(query)
        tagged = any(name == "tag" for name, _ in query.where)
        source = "gateway_attempts a" + (" JOIN gateway_tags t ON t.attempt = a.attempt" if tagged else "")
        sql = (
            f"SELECT {_EXPORT} FROM {source} WHERE {where} AND (a.began > ? OR (a.began = ? AND a.attempt > ?))"  # noqa: S608
            f" ORDER BY a.began, a.attempt LIMIT {_EXPORT_ROWS}"
        )
        if form == "csv":
            yield _csv([_EXPORTED])
        began, attempt = 0.0, ""
        while True:
            last = (*values, began, began, attempt)
            rows = await self._database.read(lambda tx, v=last: tx.all(sql, *v), deadline_s=30.0)  # type: ignore[misc]
            if rows:
                yield _csv([[_plain(each) for each in row] for row in rows]) if form == "csv" else _lines(rows)
            if len(rows) < _EXPORT_ROWS:
                return
            began, attempt = rows[-1][12], rows[-1][0]

    async def trim(self, *, before: float) -> int:
        """Remove the oldest attempts from before a day, at most a thousand, and budgets of months before; how many."""
        first = windows(before)[0]
        return await self._database.write(lambda tx: _trim(tx, first))


def _trim(tx: Tx, first: Window) -> int:
    rows = tx.all(
        "SELECT attempt FROM gateway_attempts WHERE day < ? AND outcome <> 'open' LIMIT ?", first.number, _TRIM_ROWS
    )
    tx.many("DELETE FROM gateway_tags WHERE attempt = ?", rows)
    tx.many("DELETE FROM gateway_attempts WHERE attempt = ?", rows)
    for table in ("gateway_shares", "gateway_budgets"):
        for window in (first, month_of(first)):
            tx.run(f"DELETE FROM {table} WHERE period = ? AND number < ?", window.period, window.number)  # noqa: S608
    return len(rows)


def _where(query: Query) -> tuple[str, list[Any]]:
    values: list[Any] = [int(query.since // DAY_S), int(query.until // DAY_S)]
    parts = ["a.day >= ? AND a.day <= ?"]
    if query.tenant is not None:
        parts.append("a.tenant = ?")
        values.append(query.tenant)
    for name, value in query.where:
        parts.append(f"{_COLUMN[name]} = ?")
        values.append(_day_number(value) if name == "day" else value)
    return " AND ".join(parts), values


def _day_number(name: str) -> int:
    """``2026-11-22`` as days since the epoch. Raises ``ValueError``."""
    return date.fromisoformat(name).toordinal() - date(1970, 1, 1).toordinal()


def _usage_row(by: Sequence[str], row: Sequence[Any]) -> UsageRow:
    attempts, requests, into, out, read, written, thought, cost, unpriced, estimated, unended, *names = row
    group = {
        name: Window("day", int(value)).name if name == "day" else value for name, value in zip(by, names, strict=True)
    }
    return UsageRow(
        group=group,
        attempts=attempts,
        requests=requests,
        input_tokens=int(into),
        output_tokens=int(out),
        cache_read_tokens=int(read),
        cache_write_tokens=int(written),
        reasoning_tokens=int(thought),
        cost_nano=int(cost),
        cost=usd(int(cost)),
        unpriced=int(unpriced),
        estimated=int(estimated),
        open=int(unended),
    )


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode()


def _plain(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _lines(rows: Sequence[Sequence[Any]]) -> bytes:
    encode = msgspec.json.encode
    return b"".join(encode(dict(zip(_EXPORTED, row, strict=True))) + b"\n" for row in rows)
