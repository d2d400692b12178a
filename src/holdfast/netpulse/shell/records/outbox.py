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

from typing import TYPE_CHECKING

from holdfast.netpulse.shell.records import codec, sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.netpulse.core.incident import Notice
    from holdfast.store import Tx


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
