"""Parts of budgets, granted by the store: statements that run inside the caller's transaction.

What is committed of a budget is, summed over the journals, the larger of what each was granted and what it has spent.
A grant is made under a lock of the budget's row and never lets the sum exceed the limit, so no number of gateways
overshoots, whatever each of them does with its part.

A gateway that dies keeps its part: nobody else can know what it had spent of it. The part counts as spent until the
gateway comes back with its journal, which tells, or until the window ends. So a death without return costs a
budget at most ``ledger.lease_usd`` (or one reservation, if that is more) for the rest of its day or month. Taking parts
back by time alone would be quicker and wrong: what was spent of them is in a journal that nobody can read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holdfast.gateway.core.budget import Account, Share, Window, grant
from holdfast.gateway.shell.ledger.fold import account_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.store import Tx


class Wish(NamedTuple):
    """What a journal asks of a budget. Nano-dollars."""

    account: Account
    limit: int
    held: int
    """Its part, and what it spent beyond it."""
    needed: int
    """More than that, or nothing."""


class Answer(NamedTuple):
    """What it got."""

    account: Account
    granted: int
    """All of its part now."""
    free: int
    """Left for anybody after that."""


def lease(tx: Tx, journal: str, wishes: Sequence[Wish], amount: int) -> list[Answer]:
    """Enlarge the parts of a journal by what it needs, up to ``amount`` more where there is enough."""
    answers = []
    for wish in sorted(wishes):
        key = account_key(wish.account)
        tx.run(
            "INSERT INTO gateway_budgets (scope, period, number, asked) VALUES (?, ?, ?, 1)"
            " ON CONFLICT (scope, period, number) DO UPDATE SET asked = gateway_budgets.asked + 1",
            *key,
        )  # the lock: whoever else asks for a part of it waits for this transaction
        others = tx.one(
            "SELECT COALESCE(SUM(CASE WHEN granted > spent THEN granted ELSE spent END), 0) FROM gateway_shares"
            " WHERE scope = ? AND period = ? AND number = ? AND journal <> ?",
            *key,
            journal,
        )
        free = wish.limit - (0 if others is None else int(others[0])) - wish.held
        more = grant(free, wish.needed, amount)
        if more:
            keep(tx, journal, [(wish.account, wish.held + more)])
        answers.append(Answer(wish.account, wish.held + more, free - more))
    return answers


def keep(tx: Tx, journal: str, parts: Sequence[tuple[Account, int]]) -> None:
    """Write how large the parts of a journal are: all of it, so that writing it twice is the same."""
    tx.many(
        "INSERT INTO gateway_shares (scope, period, number, journal, granted, spent) VALUES (?, ?, ?, ?, ?, 0)"
        " ON CONFLICT (scope, period, number, journal) DO UPDATE SET granted = excluded.granted",
        [(*account_key(account), journal, granted) for account, granted in sorted(parts)],
    )


def part(tx: Tx, journal: str, account: Account) -> Share | None:
    """What a journal holds of a budget already, from an earlier run."""
    row = tx.one(
        "SELECT granted, spent FROM gateway_shares WHERE scope = ? AND period = ? AND number = ? AND journal = ?",
        *account_key(account),
        journal,
    )
    return None if row is None else Share(limit=0, granted=int(row[0]), spent=int(row[1]))


def parts(tx: Tx, journal: str, current: Sequence[Window]) -> list[tuple[Account, Share]]:
    """All that a journal holds of the budgets of these windows."""
    found = []
    for window in current:
        rows = tx.all(
            "SELECT scope, granted, spent FROM gateway_shares"
            " WHERE journal = ? AND period = ? AND number = ? AND granted > 0",
            journal,
            window.period,
            window.number,
        )
        found += [(Account(row[0], window), Share(limit=0, granted=int(row[1]), spent=int(row[2]))) for row in rows]
    return found


def spent(tx: Tx, account: Account) -> tuple[int, int]:
    """Of a budget: settled by all, and committed by all."""
    row = tx.one(
        "SELECT COALESCE(SUM(spent), 0), COALESCE(SUM(CASE WHEN granted > spent THEN granted ELSE spent END), 0)"
        " FROM gateway_shares WHERE scope = ? AND period = ? AND number = ?",
        *account_key(account),
    )
    return (0, 0) if row is None else (int(row[0]), int(row[1]))
