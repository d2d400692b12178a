"""The way in: run the API in this process."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import Random
from typing import Any, Final

import msgspec

from holdfast.execution.core.settings import ExecutionSettings
from holdfast.execution.shell.api.bodies import job_body
from holdfast.execution.shell.api.server import Server
from holdfast.execution.shell.api.service import Service
from holdfast.execution.shell.api.upkeep import Upkeep
from holdfast.execution.shell.callbacks import calling_back
from holdfast.execution.shell.languages import known_languages
from holdfast.execution.shell.queue import CallbackOutbox, JobQueue
from holdfast.identity import Identities, Principal, Scope
from holdfast.store import StoreSettings, open_database
from holdfast.web.connections import Guard, places
from holdfast.web.listening import listen, url
from holdfast.web.patience import once_it_answers

log = logging.getLogger(__name__)

PLATFORM: Final = "platform"
"""Whom the key of the platform's own workers belongs to."""
_TRIM_AUDIT_EVERY_S: Final = 60.0


async def serve(
    settings: ExecutionSettings,
    store: StoreSettings,
    *,
    ready: Callable[[Mapping[str, str]], None],
    worker_key: str | None = None,
) -> int:
    """Run until SIGTERM or SIGINT; the exit code, 0.

    ``ready`` is called once requests are answered, with the URL. ``worker_key`` is a key that workers started beside
    this process hold; it is valid as long as the process and stored nowhere. On a signal held requests end at once and
    others may finish for ``drain_timeout``; a second signal does not wait for them.

    Raises :class:`~holdfast.kernel.HoldfastError` when the store, a profile or the address will not do.
    """
    async with AsyncExitStack() as stack:
        languages = known_languages(settings.worker.profiles)
        sock = await listen(settings.listen, setting="execution.listen")
        stack.callback(sock.close)
        rng = Random()
        database = await once_it_answers(partial(open_database, store), rng=rng)
        stack.push_async_callback(database.close)
        identities = Identities(database, static=_static(worker_key))
        await once_it_answers(identities.open, rng=rng)
        stack.push_async_callback(identities.close)
        queue = JobQueue(database, settings, rng=Random())
        await once_it_answers(lambda: queue.open(time.time()), rng=rng)
        stack.push_async_callback(queue.close)
        service = Service(
            settings,
            queue=queue,
            identities=identities,
            outbox=CallbackOutbox(database),
            languages=languages,
            clock=time.time,
            rng=Random(),
        )
        server = Server(service, sock, guard=Guard(most=places()))
        upkeep = Upkeep(service, rng=Random(), also=_Trim(identities, settings.retention.audit))
        await upkeep.round()  # the first figures are there before the first request
        await stack.enter_async_context(_running(upkeep.run(), "upkeep"))
        callbacks = await stack.enter_async_context(
            calling_back(
                database,
                settings.callbacks,
                identities=identities,
                job=queue.job,
                render=lambda job: msgspec.json.encode(job_body(job, service.prices, "text")),
                rng=Random(),
            )
        )
        service.job_ended = callbacks.wake
        service.metrics.follow_callbacks(lambda: callbacks.outcomes)
        _on_signals(server)
        serving = asyncio.create_task(server.run(), name="api")
        try:
            address = url(sock)
            log.info("execution API is ready", extra={"action": "ready", "url": address})
            ready({"execution": address})
            await serving
        finally:
            server.stop(now=True)
            await asyncio.wait((serving,))
    log.info("execution API has ended", extra={"action": "ended"})
    return 0


def _static(worker_key: str | None) -> Mapping[str, Principal]:
    if worker_key is None:
        return {}
    return {worker_key: Principal(tenant=PLATFORM, key_id="worker", scopes=frozenset({Scope.WORKER}))}


def _on_signals(server: Server) -> None:
    signals = iter((False, True))

    def stop() -> None:
        now = next(signals, True)
        log.info("stopping", extra={"action": "stop", "at_once": now})
        server.stop(now=now)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


class _Trim:
    """Removes audit entries whose time is over, every minute."""

    def __init__(self, identities: Identities, keep_s: float) -> None:
        self._identities = identities
        self._keep_s = keep_s
        self._next = 0.0

    async def __call__(self, now: float) -> None:
        if now >= self._next:
            self._next = now + _TRIM_AUDIT_EVERY_S
            await self._identities.trim_audit(older_than=now - self._keep_s)


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """In the background until the block is left."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
