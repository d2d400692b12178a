"""The gateway's process: ledger, data plane and control API on one port, until SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from random import Random

from holdfast.gateway.core.deployments import deployments_of
from holdfast.gateway.core.ports import Holder
from holdfast.gateway.core.prices import Catalogue
from holdfast.gateway.core.settings import GatewaySettings
from holdfast.gateway.shell.briefs import Briefs, brief_router
from holdfast.gateway.shell.control import control_app, who
from holdfast.gateway.shell.evaluations.judging import Judging
from holdfast.gateway.shell.ledger import KeyBook, MoneyLedger, PriceList, read_catalogue
from holdfast.gateway.shell.observing import Observers
from holdfast.gateway.shell.plane.engine import GatewayEngine
from holdfast.gateway.shell.plane.gateway import Gateway, offer
from holdfast.gateway.shell.plane.permits import Permits
from holdfast.gateway.shell.sessions import Offering
from holdfast.http1 import Limits
from holdfast.identity import Identities, Principal
from holdfast.kernel import HoldfastError
from holdfast.proxy.policy import EdgePolicy
from holdfast.store import StoreSettings, open_database
from holdfast.web.listening import listen, url
from holdfast.web.patience import once_it_answers

log = logging.getLogger(__name__)

_RELOAD_S = 60.0
SWITCH_S = 0.0005
"""How long a thread that folds the journal may keep the interpreter from the loop: five milliseconds, as Python has it,
are five answers that are late."""


async def serve(
    settings: GatewaySettings,
    store: StoreSettings,
    *,
    reload: Callable[[], GatewaySettings],
    ready: Callable[[Mapping[str, str]], None],
) -> int:
    """Run until SIGTERM or SIGINT; the exit code.

    ``ready`` is called once requests are answered. SIGHUP takes up what ``reload`` gives. On a signal no more clients
    are accepted, answers under way finish within ``drain_timeout``, and what was spent is folded into the store.

    Raises :class:`~holdfast.kernel.HoldfastError` when the store, the journal, a key or an address will not do.
    """
    async with AsyncExitStack() as stack:
        sock = await listen(settings.listen, setting="gateway.listen")
        stack.callback(sock.close)
        gateway = await assemble(stack, settings, store)
        engine = gateway.engine
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        reloading: set[asyncio.Task[None]] = set()

        def hang_up() -> None:
            task = loop.create_task(_reload(gateway, reload), name="reload")
            reloading.add(task)
            task.add_done_callback(reloading.discard)

        loop.add_signal_handler(signal.SIGHUP, hang_up)
        # What exists now lives as long as the process: collections need not look at it again.
        sys.setswitchinterval(SWITCH_S)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        await engine.listen(sock)
        log.info("the gateway is ready", extra={"action": "ready", "url": url(sock)})
        ready({"gateway": url(sock)})
        await stop.wait()
        cut = await engine.drain(float(settings.drain_timeout))
        if cut:
            log.warning("answers were cut by the shutdown", extra={"action": "drained", "cut": cut})
    log.info("the gateway has ended", extra={"action": "ended"})
    return 0


async def assemble(
    stack: AsyncExitStack,
    settings: GatewaySettings,
    store: StoreSettings,
    *,
    catalogue: Callable[[], Awaitable[Catalogue | None]] = read_catalogue,
    log_path: str = "-",
) -> Gateway:
    """A gateway whose engine sweeps but does not listen yet; ``stack`` takes it apart again. Raises as :func:`serve`.

    ``catalogue`` gives the prices that are publicly known; ``log_path`` is where the request log goes.
    """
    rng = Random()
    database = await once_it_answers(partial(open_database, store), rng=rng)
    stack.push_async_callback(database.close)
    identities = Identities(database)
    await once_it_answers(identities.open, rng=rng)
    stack.push_async_callback(identities.close)
    book = KeyBook(database, identities, clock=time.time)
    await once_it_answers(book.open, rng=rng)
    stack.push_async_callback(book.close)
    permits = Permits(settings, book)
    prices = PriceList(await catalogue())
    prices.load({name: offer(each) for name, each in deployments_of(settings).items()})
    ledger = MoneyLedger(settings.ledger, database, permits.table, prices)
    await once_it_answers(ledger.open, rng=rng)
    stack.push_async_callback(ledger.close)
    gateway = Gateway(
        settings,
        ledger=ledger,
        permits=permits,
        identities=identities,
        clock=time.monotonic,
        wall=time.time,
        rng=rng,
    )
    stack.callback(book.on_revoked(gateway.delivery.revoked))
    observers = Observers(lambda: gateway.settings, rng=rng, log_path=log_path)
    stack.callback(observers.close)
    gateway.observe = observers
    offering = Offering(gateway, database)
    briefs = Briefs(settings.briefs, gateway)
    paying = partial(_paying, gateway)
    routers = [*offering.routers(who), brief_router(briefs, who, paying)]
    gateway.control = control_app(gateway, observers, database, routers=routers)

    async def reloaded(settings: GatewaySettings) -> None:
        briefs.reconfigure(settings.briefs)
        await offering.reconfigure(settings)

    gateway.reloaded = reloaded
    gateway.trials.judge = Judging(lambda: gateway.settings, gateway)
    await once_it_answers(partial(gateway.trials.open, database), rng=rng)
    stack.push_async_callback(gateway.trials.close)
    engine = GatewayEngine(handle=gateway.handle, edge=edge(settings), rng=rng, clock=time.monotonic, utc=time.time)
    engine.beat = gateway.beat
    engine.ending = gateway.delivery.shut_down
    gateway.engine = engine
    stack.callback(engine.close)
    engine.start()
    await offering.open()
    stack.push_async_callback(offering.close)
    return gateway


async def _paying(gateway: Gateway, caller: Principal) -> Holder:
    """Who pays for what is asked in a caller's name."""
    return await gateway.permits.holder(caller, ())


def edge(settings: GatewaySettings) -> EdgePolicy:
    """What clients may do, and how long they may take."""
    patience = float(settings.timeouts.client)
    return EdgePolicy(
        limits=Limits(body=int(settings.max_body)),
        header_timeout_s=min(10.0, patience),
        body_timeout_s=patience,
        write_timeout_s=patience,
        connections=settings.connections,
        log_sample=None,
    )


async def _reload(gateway: Gateway, reload: Callable[[], GatewaySettings]) -> None:
    try:
        settings = reload()
        gateway.reconfigure(settings)
        async with asyncio.timeout(_RELOAD_S):
            await gateway.reloaded(settings)
    except (HoldfastError, ValueError, TimeoutError) as error:
        log.error("the old configuration stays in force: %s", error, extra={"action": "reload_refused"})  # noqa: TRY400
        return
    log.info("reloaded", extra={"action": "reloaded", "models": len(settings.models)})
