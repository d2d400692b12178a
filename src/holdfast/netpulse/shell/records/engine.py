"""Whose turn it is: one engine decides, and one that was superseded finds that out before it has stored anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holdfast.netpulse.errors import Superseded
from holdfast.netpulse.shell.records import sql

if TYPE_CHECKING:
    from holdfast.store import Tx


class Engine(NamedTuple):
    """The one row of ``netpulse_engine``: numbers of results, and the epoch."""

    epoch: int
    stored: int
    rolled: int
    checkpoint: int


def turn(tx: Tx, epoch: int) -> Engine:
    """Begin a transaction of the engine. Raises ``Superseded``."""
    row = tx.one(sql.of(tx.dialect, sql.TURN))
    assert row is not None  # noqa: S101 - made with the table
    engine = Engine(*row)
    if engine.epoch != epoch:
        raise Superseded(
            f"another engine has taken over the records (its epoch is {engine.epoch}, this one's {epoch}): "
            "let one engine run, and restart this one if it is to be that"
        )
    return engine


def now(tx: Tx) -> Engine:
    """As it stands."""
    row = tx.one(sql.ENGINE)
    assert row is not None  # noqa: S101 - made with the table
    return Engine(*row)
