"""Everything that calling back takes, for the time that an API process runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

from holdfast.execution.core.ports import JobView
from holdfast.execution.core.settings import CallbackSettings
from holdfast.execution.shell.callbacks.dispatcher import Callbacks
from holdfast.execution.shell.callbacks.sender import Sender
from holdfast.execution.shell.queue import CallbackOutbox
from holdfast.identity import Identities
from holdfast.store import Database


@asynccontextmanager
async def calling_back(
    database: Database,
    settings: CallbackSettings,
    *,
    identities: Identities,
    job: Callable[[str, str], Awaitable[JobView | None]],
    render: Callable[[JobView], bytes],
    rng: Random,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Callbacks]:
    """Deliver callbacks while the block runs. ``job``, ``render``, ``clock`` as for :class:`~.dispatcher.Callbacks`.

    What is given is for waking it and for metrics. The database, the queue's tables and ``identities`` are open before.
    """
    sender = Sender(settings)
    callbacks = Callbacks(
        CallbackOutbox(database),
        sender,
        settings,
        job=job,
        render=render,
        secrets=identities.callback_secrets,
        rng=rng,
        clock=clock,
    )
    loop = asyncio.create_task(callbacks.run(), name="callbacks")
    try:
        yield callbacks
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await sender.close()
