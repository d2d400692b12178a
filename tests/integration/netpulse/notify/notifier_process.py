"""A notifier over a database file, as a process that can be killed: ``DATABASE URL NOW [MARK]``.

``MARK``: it kills itself between the send and the mark.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from random import Random
from typing import Any

from holdfast.netpulse.core.settings import ChannelSettings, RetentionSettings, WebhookChannel
from holdfast.netpulse.shell.notify import Notifier
from holdfast.netpulse.shell.records import NetpulseRecords as Records
from holdfast.store import StoreSettings, open_database
from tests.unit.netpulse.notify.memory import settings


class Dying(Records):
    """Dies where it would write that something was sent."""

    async def delivered(self, *_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


async def main(path: str, url: str, now: float, *, dying: bool) -> None:
    async with await open_database(StoreSettings(url=f"sqlite:{path}")) as database:
        records = (Dying if dying else Records)(database, RetentionSettings(), rng=Random(1))
        await records.open(now)
        channel = ChannelSettings(allow_private=True, webhook=WebhookChannel(url=url))
        notifier = Notifier(records, settings(ops=channel), lambda *_: "", clock=lambda: now, rng=Random(1))
        await notifier.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), dying=sys.argv[4:] == ["mark"]))
