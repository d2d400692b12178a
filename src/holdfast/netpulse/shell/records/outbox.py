"""Notices: owed from the transaction that decided them until somebody says that they were sent.

    waiting -> sent             somebody took it under a lease, sent it, and said so
    waiting -> waiting          the lease ended (the sender died), or it said when to try again
    waiting -> failed           given up

A notice has no other slot that could be taken before it is sent: the row that says *owed* is the one that deduplicates,
and only its state says *sent*. So a sender that dies loses nothing; what it had sent may be sent again, under the same
key. Of one incident, a channel gets notices in the order in which they were decided: the next waits until the one
before was sent or given up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.netpulse.core.ports import Delivery
from holdfast.netpulse.shell.records import codec, sql

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from holdfast.netpulse.core.incident import Notice
    from holdfast.store import Tx

TEXT: Final = 500
"""Characters that are kept of an error or a reference."""


def owe(tx: Tx, notices: Iterable[Notice]) -> None:
    """Owe what is not owed, sent or given up already."""
    tx.many(
        sql.STORE_NOTICE,
        [
            (
                notice.key,
                notice.incident,
                notice.channel,
                notice.at,
                max(notice.at, notice.not_before),
                codec.encoded(notice),
            )
            for notice in notices
        ],
    )


def owed(tx: Tx, *, now: float, limit: int, lease_s: float, rng: Random) -> list[Delivery]:
    """Lease what is due. The attempt counts from here, also when nothing is ever heard of it."""
    lease = f"{rng.getrandbits(64):016x}"
    taken = [
        Delivery(notice=codec.notice(data), attempt=attempts + 1, lease=lease)
        for _, attempts, data in tx.all(sql.of(tx.dialect, sql.OWED), now, limit)
    ]
    tx.many(sql.LEASE, [(now + lease_s, one.attempt, lease, one.notice.key) for one in taken])
    return taken


def delivered(tx: Tx, *, delivery: Delivery, reference: str) -> None:
    """It was sent. Harmless when said twice."""
    tx.run(sql.SENT, printable(reference), delivery.notice.key)


def undelivered(tx: Tx, *, delivery: Delivery, error: str, again_at: float | None) -> None:
    """Try again then, or never. Says nothing when the lease is over and somebody else has it."""
    key, lease = delivery.notice.key, delivery.lease
    if again_at is None:
        tx.run(sql.GIVEN_UP, printable(error), key, lease)
    else:
        tx.run(sql.AGAIN, printable(error), again_at, key, lease)


def notices(tx: Tx, *, incident: str) -> list[tuple[Notice, str, str]]:
    """Of an incident, in the order of its decisions."""
    return [(codec.notice(data), state, error) for data, state, error in tx.all(sql.NOTICES, incident)]


def printable(text: str) -> str:
    """What other servers said, in what both stores take."""
    return text[:TEXT].replace("\0", "")
