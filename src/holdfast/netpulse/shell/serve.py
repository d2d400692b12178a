"""The engine's process: records, runtime, agents' listener, API, notifier and status page, until SIGTERM."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from holdfast.identity import Identities
from holdfast.kernel import HoldfastError
from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.netpulse.core.steady import Steady
from holdfast.netpulse.core.validate import split_address
from holdfast.netpulse.errors import NetpulseError
from holdfast.netpulse.shell import certificates
from holdfast.netpulse.shell.agents import AgentListener
from holdfast.netpulse.shell.api import open_links, serve_api
from holdfast.netpulse.shell.engine import Runtime
from holdfast.netpulse.shell.engine.publishing import Publishing
from holdfast.netpulse.shell.notify import Notifier
from holdfast.netpulse.shell.notify.http import Network
from holdfast.netpulse.shell.records import NetpulseRecords
from holdfast.netpulse.shell.records.export import Exported
from holdfast.netpulse.shell.status import (
    ChannelMessenger,
    Desk,
    StatusUpdates,
    Subscribers,
    subscribe_router,
    writing_router,
)
from holdfast.store import StoreSettings, open_database
from holdfast.web.listening import listen, url
from holdfast.web.patience import once_it_answers

log = logging.getLogger(__name__)

Reload = Callable[[], NetpulseSettings]
_TRIM_AUDIT_EVERY_S: Final = 3600.0
_RENEW_EVERY_S: Final = 43_200.0


async def serve(
    settings: NetpulseSettings,
    store: StoreSettings,
    *,
    reload: Reload,
    ready: Callable[[Mapping[str, str]], None],
) -> int:
    """Run until SIGTERM or SIGINT; the exit code.

    ``ready`` is called once requests are answered and agents are waited for, with both URLs. SIGHUP takes up what
    ``reload`` gives. On a signal held requests end, others finish, decisions are stored and the detectors' state with
    them, all within ``drain_timeout``; what is not sent by then is sent by whoever comes next.

    Raises :class:`~holdfast.kernel.HoldfastError` when the store, a certificate or an address will not do.
    """
    async with AsyncExitStack() as stack:
        sock = await listen(settings.listen, setting="netpulse.listen")
        stack.callback(sock.close)
        rng = Random()
        _make_certificates(settings)
        database = await once_it_answers(partial(open_database, store), rng=rng)
        stack.push_async_callback(database.close)
        identities = Identities(database)
        await once_it_answers(identities.open, rng=rng)
        stack.push_async_callback(identities.close)
        records = NetpulseRecords(database, settings.retention, rng=Random())
        runtime = Runtime(settings, records, clock=Steady(wall=time.time, monotonic=time.monotonic), rng=Random())
        await once_it_answers(runtime.open, rng=rng)
        stack.push_async_callback(records.close)
        links = await open_links(records, lambda: runtime.settings.public_url, clock=runtime.now)
        subscribers = await _subscribers(stack, settings, records)
        routers = [] if subscribers is None else [subscribe_router(subscribers)]
        if settings.status is not None:
            routers.append(writing_router(Desk(StatusUpdates(records), runtime, wall=runtime.now)))
        api = await serve_api(
            runtime,
            records,
            identities,
            sock,
            links=links,
            export=partial(_export, records),
            routers=routers,
            clock=runtime.now,
        )
        notifier = Notifier(
            records,
            settings,
            lambda incident, channel: links.acknowledge(runtime.settings.tenant, incident, channel),
            clock=runtime.now,
            rng=Random(),
            page=runtime.page,
        )
        runtime.owed = notifier.wake
        agents = AgentListener(runtime, listen=settings.agents.listen, certificates=Path(settings.agents.certificates))
        await agents.start()
        stack.push_async_callback(agents.stop)
        stop = asyncio.Event()
        _on_signals(stop, partial(_reload, reload, runtime, notifier, agents))
        notifying = await stack.enter_async_context(_running(notifier.run(), "notifier"))
        deciding = await stack.enter_async_context(_running(runtime.run(), "engine"))
        await stack.enter_async_context(_running(_trim(identities, runtime), "audit"))
        await stack.enter_async_context(_running(_renew(runtime, agents), "certificates"))
        serving = await stack.enter_async_context(_running(api.run(), "api"))
        if settings.status is not None:
            await stack.enter_async_context(_running(Publishing(runtime, records, subscribers).run(), "status page"))
        log.info("NetPulse is ready", extra={"action": "ready", "url": url(sock), "agents": agents.url})
        ready({"netpulse": url(sock), "agents": agents.url})
        stopping = asyncio.create_task(stop.wait(), name="stop")
        stack.callback(stopping.cancel)
        await asyncio.wait({stopping, deciding, serving}, return_when=asyncio.FIRST_COMPLETED)
        runtime.stop()
        api.stop()
        if deciding.done():
            deciding.result()
        await agents.stop()
        notifier.close()
        await asyncio.wait({notifying}, timeout=settings.drain_timeout or 1.0)
        try:
            await runtime.close()
        except (TimeoutError, HoldfastError) as error:
            log.warning("ended before all was stored: %s", error, extra={"action": "ended_early"})
        await asyncio.wait({serving}, timeout=settings.drain_timeout or 1.0)
    log.info("NetPulse has ended", extra={"action": "ended"})
    return 0


async def _subscribers(
    stack: AsyncExitStack, settings: NetpulseSettings, records: NetpulseRecords
) -> Subscribers | None:
    """Those of the status page; ``None`` when there is no page, or no address that their links could lead to."""
    if settings.status is None or not settings.public_url:
        return None
    network = Network()
    stack.push_async_callback(network.close)
    channel = settings.channels.get(settings.status.subscribe_channel)
    return Subscribers(
        records,
        ChannelMessenger(network, channel, wall=time.time),
        title=settings.status.title,
        api_url=settings.public_url,
        by_mail=channel is not None and channel.email is not None,
        wall=time.time,
        entropy=os.urandom,
    )


async def _export(
    records: NetpulseRecords, month: str, tenant: str, directory: Path, file_format: Literal["csv", "parquet"]
) -> Sequence[Exported]:
    return await records.export(month, tenant, directory=directory, file_format=file_format)


def _make_certificates(settings: NetpulseSettings) -> None:
    """The authority, the engine's certificate, and those of the agents that are started beside it."""
    hosts = {"localhost", "127.0.0.1", split_address(settings.agents.listen)[0]}
    if settings.agents.engine:
        hosts.add(urlsplit(settings.agents.engine).hostname or "")
    embedded = {region: region for region, place in settings.regions.items() if place.embedded}
    certificates.ensure(Path(settings.agents.certificates), {host for host in hosts if _is_name(host)}, embedded)


def _is_name(host: str) -> bool:
    """Whether somebody can reach us by it: not ``0.0.0.0``."""
    try:
        return not ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return bool(host)


def _reload(reload: Reload, runtime: Runtime, notifier: Notifier, agents: AgentListener) -> None:
    try:
        settings = reload()
        _same_places(runtime.settings, settings)
        _make_certificates(settings)
        agents.reload()
        runtime.reconfigure(settings)
    except (HoldfastError, ValueError) as error:
        log.error("the old configuration stays in force: %s", error, extra={"action": "reload_refused"})  # noqa: TRY400
        return
    notifier.reconfigure(settings)
    log.info("reloaded", extra={"action": "reloaded", "monitors": len(settings.monitors)})


def _same_places(before: NetpulseSettings, after: NetpulseSettings) -> None:
    """Raise for what only a start can change."""
    pairs = {
        "tenant": (before.tenant, after.tenant),
        "listen": (before.listen, after.listen),
        "agents.listen": (before.agents.listen, after.agents.listen),
        "agents.certificates": (before.agents.certificates, after.agents.certificates),
    }
    for name, (old, new) in pairs.items():
        if old != new:
            raise NetpulseError(f"netpulse.{name} was {old!r} and is {new!r}: restart the engine to change it")


def _on_signals(stop: asyncio.Event, reload: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)


async def _trim(identities: Identities, runtime: Runtime) -> None:
    while True:
        try:
            await identities.trim_audit(older_than=time.time() - runtime.settings.retention.audit)
        except HoldfastError as error:
            log.warning("audit is not trimmed: %s", error, extra={"action": "trim_audit"})
        await asyncio.sleep(_TRIM_AUDIT_EVERY_S)


async def _renew(runtime: Runtime, agents: AgentListener) -> None:
    """Certificates end while an engine runs: what ends soon is made anew, and used from the next handshake on."""
    while True:
        await asyncio.sleep(_RENEW_EVERY_S)
        try:
            await asyncio.to_thread(_make_certificates, runtime.settings)
            agents.reload()
        except HoldfastError as error:
            log.error("certificates are not renewed: %s", error, extra={"action": "certificates"})  # noqa: TRY400


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, Any], name: str) -> AsyncIterator[asyncio.Task[Any]]:
    """In the background until the block is left."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
