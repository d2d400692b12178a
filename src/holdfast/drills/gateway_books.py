"""The gateway's ledger beside its provider's own, attempt by attempt."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from holdfast.drills.gateway_service import PRICE, MockEntry
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.shell.ledger import ProviderReport

NANO_IN: Final = round(PRICE["input"] * 1000)
"""Nano-dollars for a token: dollars for a million tokens, times a thousand."""
NANO_OUT: Final = round(PRICE["output"] * 1000)
ORPHANED: Final = "orphaned"
_ROWS: Final = (
    "SELECT attempt, outcome, input_tokens, output_tokens, cost, reserved, estimated, hedge FROM gateway_attempts"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An attempt as the gateway wrote it down."""

    attempt: str
    outcome: str
    input_tokens: int
    output_tokens: int
    cost: int | None
    """Nano-dollars."""
    reserved: int
    estimated: bool
    hedge: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What came of the comparison."""

    served: int
    """Attempts that the provider heard."""
    missing: int
    """Of them not in the ledger."""
    twice: int
    """Of them heard or written down more than once."""
    orphans: int
    off_nano: int
    """Sum over attempts of what was charged too much or too little, without regard to which."""
    off_orphans_nano: int
    """Of it, attempts whose gateway died before they ended."""
    off_ended_nano: int
    """Of it, attempts that the gateway settled itself but not with ``ok``: cancelled, cut, lost in a race of hedges."""
    off_by_outcome: Mapping[str, int]
    """The same for each outcome by itself."""
    off_tokens: int
    charged_nano: int
    owed_nano: int


def owed(entry: MockEntry) -> int:
    """What the provider charges. Nano-dollars."""
    return entry.tokens_in * NANO_IN + entry.tokens_out * NANO_OUT


def balance(entries: Iterable[MockEntry], rows: Sequence[Row]) -> Books:
    """Compare them, attempt by attempt."""
    told = list(entries)
    heard = Counter(entry.attempt for entry in told)
    written = Counter(row.attempt for row in rows)
    by_attempt = {entry.attempt: entry for entry in told}
    off: Counter[str] = Counter()
    off_tokens = 0
    for row in rows:
        entry = by_attempt.get(row.attempt)
        due = 0 if entry is None else owed(entry)
        off[row.outcome] += abs((row.cost or 0) - due)
        counted = 0 if entry is None else entry.tokens_in + entry.tokens_out
        off_tokens += abs(row.input_tokens + row.output_tokens - counted)
    return Books(
        served=len(heard),
        missing=sum(attempt not in written for attempt in heard),
        twice=sum(times > 1 for times in heard.values()) + sum(times > 1 for times in written.values()),
        orphans=sum(row.outcome == ORPHANED for row in rows),
        off_nano=off.total(),
        off_orphans_nano=off[ORPHANED],
        off_ended_nano=off.total() - off[ORPHANED] - off["ok"],
        off_by_outcome={outcome: amount for outcome, amount in sorted(off.items()) if amount},
        off_tokens=off_tokens,
        charged_nano=sum(row.cost or 0 for row in rows),
        owed_nano=sum(owed(entry) for entry in told),
    )


def reports(entries: Iterable[MockEntry], rows: Iterable[Row]) -> list[ProviderReport]:
    """What the provider says of the attempts whose end the gateway did not see, and of those that it estimated."""
    by_attempt = {entry.attempt: entry for entry in entries}
    found = []
    for row in rows:
        if row.outcome == ORPHANED or row.estimated:
            entry = by_attempt.get(row.attempt)
            usage = None if entry is None else Usage(input_tokens=entry.tokens_in, output_tokens=entry.tokens_out)
            found.append(ProviderReport(attempt=row.attempt, usage=usage))
    return found


def read_rows(file: Path) -> list[Row]:
    """The ledger of a gateway that does not run: the drill reads the store, and does not ask who is on trial."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as link:
        return [
            Row(
                attempt=attempt,
                outcome=outcome,
                input_tokens=read,
                output_tokens=written,
                cost=cost,
                reserved=reserved,
                estimated=bool(estimated),
                hedge=bool(hedge),
            )
            for attempt, outcome, read, written, cost, reserved, estimated, hedge in link.execute(_ROWS)
        ]
