"""A tenant's month as files: ``checks`` (as long as single results are kept) and ``hours`` (of the rollups).

Rows are read in pages and written as they come, so memory is bounded by a page. Each file is written beside its name
and renamed when it is whole; ``manifest.json`` comes last and has the SHA-256 of each, so a month with a manifest is
complete, and one whose sums differ was changed afterwards.
"""

# ruff: noqa: S608 - what is put together here are our own words; values are always parameters

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from holdfast.netpulse.core.result import Outcome
from holdfast.netpulse.errors import Invalid, NetpulseError
from holdfast.netpulse.shell.records import results, sql
from holdfast.netpulse.shell.records.histogram import quantile_ms
from holdfast.netpulse.shell.records.names import Kind, look_up
from holdfast.netpulse.shell.records.rollups import Sums

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from holdfast.store import Database, Tx

Format: TypeAlias = Literal["csv", "parquet"]
Line: TypeAlias = tuple[Any, ...]

PAGE: Final = 5000
"""Rows that are read and written at once."""

_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")

CHECKS: Final = {
    "monitor": "string",
    "region": "string",
    "agent": "string",
    "at": "string",
    "outcome": "string",
    "failure": "string",
    "total_ms": "float64",
    "resolve_ms": "float64",
    "connect_ms": "float64",
    "tls_ms": "float64",
    "first_byte_ms": "float64",
    "transfer_ms": "float64",
    "status": "int64",
    "address": "string",
    "cert_days": "float64",
    "late": "bool_",
    "simulated": "bool_",
    "detail": "string",
}
"""Columns of ``checks`` and their types in Parquet. Times are RFC 3339 in UTC; what there is none of is empty."""

HOURS: Final = {
    "monitor": "string",
    "region": "string",
    "at": "string",
    "up": "int64",
    "down": "int64",
    "unknown": "int64",
    "p50_ms": "float64",
    "p95_ms": "float64",
    "p99_ms": "float64",
}
"""Columns of ``hours``."""

_MONITORS: Final = """
    SELECT id, name FROM netpulse_names
    WHERE kind = ? AND substr(name, 1, CAST(? AS INTEGER)) = ? AND id > ? ORDER BY id LIMIT 500"""
# Not LIKE: to SQLite it says that A is a, and so that a tenant is another.
_CHECKS: Final = f"""
    SELECT {sql.RESULT} FROM netpulse_results r
    WHERE r.monitor = ? AND r.at < ? AND (r.at, r.seq) > (?, ?) ORDER BY r.at, r.seq LIMIT ?"""
_HOURS: Final = """
    SELECT at, region, up, down, unknown, data FROM netpulse_hours
    WHERE monitor = ? AND at < ? AND (at, region) > (?, ?) ORDER BY at, region LIMIT ?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One file."""

    name: str
    rows: int
    size_bytes: int
    sha256: str


class _Writer(Protocol):
    def write(self, page: Sequence[Line]) -> None: ...


async def export(
    database: Database, month: str, tenant: str, *, directory: Path, file_format: Format = "csv"
) -> list[Exported]:
    """Write the files of a month (``2026-11``) of UTC and their manifest into ``directory``, which exists.

    Raises ``Invalid`` for a month that is none, and ``NetpulseError`` when Parquet is wanted and cannot be written.
    Files of the same name are replaced.
    """
    begin, end = span_of(month)
    files = []
    for kind, columns, pages in (
        ("checks", CHECKS, _checks(database, tenant, begin, end)),
        ("hours", HOURS, _hours(database, tenant, begin, end)),
    ):
        path = directory / f"{kind}-{month}.{file_format}"
        rows = 0
        with _whole(path) as beside, _writer(beside, columns, file_format) as writer:
            async for page in pages:
                await asyncio.to_thread(writer.write, page)
                rows += len(page)
        files.append(
            Exported(
                name=path.name, rows=rows, size_bytes=path.stat().st_size, sha256=await asyncio.to_thread(_sha256, path)
            )
        )
    manifest = {
        "tenant": tenant,
        "month": month,
        "files": [{"name": one.name, "rows": one.rows, "bytes": one.size_bytes, "sha256": one.sha256} for one in files],
    }
    with _whole(directory / f"manifest-{month}-{file_format}.json") as beside:
        beside.write_text(json.dumps(manifest, indent=1) + "\n")
    return files


def span_of(month: str) -> tuple[float, float]:
    """Its beginning and end, seconds since the epoch. Raises ``Invalid``."""
    if not _MONTH.fullmatch(month) or month.startswith("0000"):
        raise Invalid(f"{month[:20]!r} is no month: write it like 2026-11")
    year, number = int(month[:4]), int(month[5:])
    if (year, number) == (9999, 12):
        raise Invalid(f"{month!r} has no end that can be told")
    begin = datetime(year, number, 1, tzinfo=UTC)
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return begin.timestamp(), end.timestamp()


async def _monitors(database: Database, tenant: str) -> AsyncIterator[tuple[int, str]]:
    prefix, after = f"{tenant}/", 0
    while page := await database.read(
        lambda tx, after=after: tx.all(_MONITORS, int(Kind.MONITOR), len(prefix), prefix, after)  # type: ignore[misc]
    ):
        for id, name in page:
            yield id, name
        after = page[-1][0]


async def _checks(database: Database, tenant: str, begin: float, end: float) -> AsyncIterator[list[Line]]:
    async for monitor, _ in _monitors(database, tenant):
        at, seq = round(begin * 1000) - 1, 2**62
        while True:
            page, at, seq = await database.read(
                partial(_checks_page, monitor=monitor, until=round(end * 1000), at=at, seq=seq)
            )
            if page:
                yield page
            if len(page) < PAGE:
                break


def _checks_page(tx: Tx, *, monitor: int, until: int, at: int, seq: int) -> tuple[list[Line], int, int]:
    found = tx.all(_CHECKS, monitor, until, at, seq, PAGE)
    lines = [
        (
            seen.monitor,
            seen.region,
            seen.agent,
            rfc3339(seen.at),
            Outcome(seen.outcome).name.lower(),
            str(seen.failure),
            seen.total_ms,
            *(None if ms is None else round(ms, 3) for ms in _phases(seen.phases)),
            seen.status,
            seen.address,
            None if seen.cert_days is None else round(seen.cert_days, 2),
            seen.late,
            seen.simulated,
            seen.detail,
        )
        for seen in results.observations(tx, found)
    ]
    return lines, found[-1][1] if found else at, found[-1][0] if found else seq


def _phases(phases: Any) -> tuple[float | None, ...]:
    return phases.resolve, phases.connect, phases.tls, phases.first_byte, phases.transfer


async def _hours(database: Database, tenant: str, begin: float, end: float) -> AsyncIterator[list[Line]]:
    async for monitor, name in _monitors(database, tenant):
        at, region = int(begin) - 1, 2**31
        while True:
            page, at, region = await database.read(
                partial(_hours_page, monitor=monitor, name=name, until=int(end), at=at, region=region)
            )
            if page:
                yield page
            if len(page) < PAGE:
                break


def _hours_page(tx: Tx, *, monitor: int, name: str, until: int, at: int, region: int) -> tuple[list[Line], int, int]:
    found = tx.all(_HOURS, monitor, until, at, region, PAGE)
    names = look_up(tx, {row[1] for row in found})

    def line(begin: int, of: int, up: int, down: int, unknown: int, data: bytes) -> Line:
        latencies = Sums(up, down, unknown, data).latencies
        quantiles = (quantile_ms(latencies, part) for part in (0.50, 0.95, 0.99))
        return name, names.get(of, ""), rfc3339(begin), up, down, unknown, *quantiles

    return list(starmap(line, found)), found[-1][0] if found else at, found[-1][1] if found else region


def rfc3339(at: float) -> str:
    """In UTC, with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---------------------------------------------------------------- files


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A path beside ``path``, moved there when the block ends well, removed when it does not."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _writer(path: Path, columns: dict[str, str], file_format: Format) -> Iterator[_Writer]:
    with _csv(path, columns) if file_format == "csv" else _parquet(path, columns) as writer:
        yield writer


class _Csv:
    def __init__(self, file: Any) -> None:
        self._csv = csv.writer(file, lineterminator="\r\n")  # RFC 4180

    def write(self, page: Sequence[Line]) -> None:
        self._csv.writerows([_inert(value) for value in line] for line in page)


def _inert(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe: details come from other people's servers.

    OWASP, "CSV Injection".
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


@contextmanager
def _csv(path: Path, columns: dict[str, str]) -> Iterator[_Writer]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = _Csv(file)
        writer.write([tuple(columns)])
        yield writer


class _Parquet:
    def __init__(self, arrow: Any, file: Any, schema: Any) -> None:
        self._arrow, self._file, self._schema = arrow, file, schema

    def write(self, page: Sequence[Line]) -> None:
        arrays = [
            self._arrow.array(values, type=field.type)
            for values, field in zip(zip(*page, strict=True), self._schema, strict=True)
        ]
        self._file.write_batch(self._arrow.record_batch(arrays, schema=self._schema))


@contextmanager
def _parquet(path: Path, columns: dict[str, str]) -> Iterator[_Writer]:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError as error:
        raise NetpulseError("Parquet needs pyarrow: install holdfast[parquet], or export as CSV") from error
    schema = pa.schema([(name, getattr(pa, type_)()) for name, type_ in columns.items()])
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        yield _Parquet(pa, file, schema)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
