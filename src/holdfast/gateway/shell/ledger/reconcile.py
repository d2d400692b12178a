"""What a provider says it was asked, against what the ledger believes: for attempts whose end nobody here saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from holdfast.gateway.core.usage import Usage
from holdfast.gateway.shell.ledger import fold

if TYPE_CHECKING:
    from holdfast.gateway.core.budget import Account
    from holdfast.store import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReport:
    """What a provider says of an attempt, by the id that it was sent with."""

    attempt: str
    usage: Usage | None
    """``None``: it has never seen it, so it costs nothing."""
    cost_nano: int | None = None
    """What it charges, where it says so; else the price of the deployment holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What came of it."""

    changed: int
    unknown: tuple[str, ...]
    """Attempts that the ledger has not, or that ended as they should and need no word of anybody."""
    unpriced: tuple[str, ...]
    """Orphans whose price nobody knows; they stay charged with their reservations."""
    difference_nano: int
    """By which all of them cost more (or less) than was charged."""


class Correction(NamedTuple):
    """A report with its price, ready to be written."""

    attempt: str
    usage: Usage | None
    cost: int


_OPEN_TO_IT: Final = "(outcome = 'orphaned' OR (estimated = 1 AND outcome <> 'open'))"
"""What a provider's own report may correct: what was charged as reserved, and what was estimated because the answer was
never told to its end. What the provider itself told in its answer stays."""


_CORRECT: Final = (
    "UPDATE gateway_attempts SET outcome = CASE WHEN outcome = 'orphaned' THEN ? ELSE outcome END, cost = ?,"  # noqa: S608 - all of it is written here
    " estimated = ?, input_tokens = ?, output_tokens = ?, cache_read_tokens = ?, cache_write_tokens = ?,"
    " reasoning_tokens = ?, details = ? WHERE attempt = ? AND " + _OPEN_TO_IT
)


def orphans(tx: Tx, attempts: Sequence[str], tenant: str | None = None) -> dict[str, str]:
    """Those of them that are orphaned or estimated, with the deployment of each; with ``tenant`` only its own."""
    whose, values = ("", ()) if tenant is None else (" AND tenant = ?", (tenant,))
    found: dict[str, str] = {}
    for at in range(0, len(attempts), 500):
        some = attempts[at : at + 500]
        marks = ", ".join("?" * len(some))
        where = f"{_OPEN_TO_IT} AND attempt IN ({marks}){whose}"
        sql = f"SELECT attempt, deployment FROM gateway_attempts WHERE {where}"  # noqa: S608 - marks only
        found.update((str(row[0]), str(row[1])) for row in tx.all(sql, *some, *values))
    return found


def correct(tx: Tx, corrections: Sequence[Correction]) -> dict[str, dict[Account, int]]:
    """Replace what orphans and estimates were charged; by journal and budget, how much more it is. Once per attempt."""
    more: dict[str, dict[Account, int]] = defaultdict(lambda: defaultdict(int))
    for attempt, usage, cost in corrections:
        row = tx.one(
            "SELECT journal, cost, tenant, key_id, team, holder, day FROM gateway_attempts WHERE attempt = ?", attempt
        )
        told = Usage() if usage is None else usage
        changed = tx.run(
            _CORRECT,
            "unsent" if usage is None else "reconciled",
            cost,
            int(told.estimated),
            told.input_tokens,
            told.output_tokens,
            told.cache_read_tokens,
            told.cache_write_tokens + told.cache_write_long_tokens,
            told.reasoning_tokens,
            msgspec.msgpack.encode(told),
            attempt,
        )
        if row is not None and changed:
            fold.charge(more[str(row[0])], row[2:7], cost - int(row[1] or 0))
    for journal, accounts in sorted(more.items()):
        fold.spend(tx, journal, accounts)
    return {journal: dict(accounts) for journal, accounts in more.items()}
