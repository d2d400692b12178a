"""The master process: decides, watches its workers, answers operators.

::

    workers --Outcomes--> Board --transitions--> events, counters, log
    probes  --results --/   |
    ticks   -------------/  +--changed views--> workers

    reload, discovery --> Configure(generation) to all workers, wait for Ready of all,
                          then the board takes the new settings

Everything runs in one loop and nothing in it blocks: reading the configuration, trust
stores and name lookups go to threads. A generation is in force when every worker said so;
if one refuses it, all go back to the previous settings under a new generation, so that
workers never differ for longer than a reload takes.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import secrets
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from random import Random
from typing import Any, Final

import msgspec

from holdfast.balancer.core.board import Board
from holdfast.balancer.core.events import Transition
from holdfast.balancer.core.explain import Explanation, PoolSnapshot
from holdfast.balancer.core.health import ProbeResult
from holdfast.balancer.core.messages import (
    BackendRef,
    Configure,
    Drained,
    Endpoint,
    Outcomes,
    Ready,
    Switch,
    ToMaster,
    ToWorker,
    Views,
)
from holdfast.balancer.core.settings import BalancerSettings, DiscoverySettings, StrategyName
from holdfast.balancer.errors import BalancerError, NotFoundError, ReloadError, WorkerError
from holdfast.balancer.shell.admin import serve_admin
from holdfast.balancer.shell.crew import APPLY_DEADLINE_S, Crew
from holdfast.balancer.shell.discovery import DnsDiscovery, DnsResolver, Resolver, SystemResolver
from holdfast.balancer.shell.events import EventLog
from holdfast.balancer.shell.listening import reserve
from holdfast.balancer.shell.metrics import Tally, exposition, of_backends
from holdfast.balancer.shell.probes import Prober, forget_certificates, targets
from holdfast.balancer.shell.workers import COMMAND, RestartPolicy, WorkerSlot
from holdfast.kernel import HoldfastError

log = logging.getLogger(__name__)

TICK_S: Final = 0.1
ASK_EVERY_S: Final = 2.0
"""How much of its counting a worker that dies takes with it, at most."""
READ_DEADLINE_S: Final = 10.0
DISCOVERY_RETRY_S: Final = 5.0
FIRST_DISCOVERY_S: Final = 2.0
"""How long the start waits for names to resolve, so that the first requests find their backends."""


class Master:
    """See the module. One :meth:`run` per object."""

    def __init__(
        self,
        settings: BalancerSettings,
        *,
        reload: Callable[[], BalancerSettings],
        ready: Callable[[Mapping[str, str]], None],
        command: Sequence[str] = COMMAND,
        restarts: RestartPolicy | None = None,
        resolver: Resolver | None = None,
        rng: Random | None = None,
    ) -> None:
        """``reload`` reads the settings anew (in a thread); ``ready`` is called once, in the loop."""
        self.events = EventLog(secrets.token_hex(4))
        self._settings = settings
        self._read_settings = reload
        self._ready = ready
        self._command = command
        self._restarts = restarts or RestartPolicy()
        self._resolver = resolver or DnsResolver(SystemResolver())
        self._rng = rng or Random()
        self._generation = 1
        self._listen: tuple[str, ...] = ()
        self._strategies: dict[str, StrategyName] = {}
        self._discovered: dict[str, tuple[Endpoint, ...]] = {}
        self._tally = Tally()
        self._watchers: dict[str, tuple[DiscoverySettings, asyncio.Task[None]]] = {}
        self._reloading = asyncio.Lock()
        self._reload_wanted = asyncio.Event()
        self._cut = asyncio.Event()
        self._lag_s = 0.0
        self._crew: Crew
        self._board: Board
        self._prober: Prober

    # Lifecycle

    async def run(self) -> int:
        """Serve until told to stop; the exit code. Raises :class:`~holdfast.balancer.errors.AddressError`."""
        with ExitStack() as held:
            listen: list[str] = []
            for wanted in self._settings.listen:
                reserved = await reserve(wanted, listen=False)
                held.enter_context(reserved.sock)
                listen.append(reserved.address)
            self._listen = tuple(listen)
            admin_socket, admin_address = None, None
            if self._settings.admin is not None:
                admin = await reserve(self._settings.admin, listen=True)
                admin_socket, admin_address = held.enter_context(admin.sock), admin.address
            self._board = Board(self._settings, self._rng, time.monotonic())
            self._prober = Prober(self._on_probe, self._rng)
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._crew = crew = Crew(self, group, self._command, self._restarts, self._rng)
                held.enter_context(self._signals())
                background = [
                    group.create_task(self._tick(), name="tick"),
                    group.create_task(self._ask_regularly(), name="ask"),
                    group.create_task(self._reload_on_signal(), name="reload"),
                ]
                if admin_socket is not None:
                    background.append(group.create_task(serve_admin(admin_socket, self), name="admin"))
                try:
                    self._retarget()
                    await crew.until(lambda: self._watchers.keys() <= self._discovered.keys(), FIRST_DISCOVERY_S)
                    crew.scale(self._settings.workers, self._settings.drain_timeout)
                    if await crew.until(lambda: crew.in_force(self._generation)):
                        self._announce(admin_address)
                    await crew.stopping.wait()
                    self._event("drain", {"timeout_s": float(self._settings.drain_timeout)})
                    await crew.drain(self._settings.drain_timeout, self._cut)
                finally:
                    self.events.close()
                    for task in (*background, *(task for _, task in self._watchers.values())):
                        task.cancel()
                    await self._prober.close()
        return 1 if crew.failed or self._cut.is_set() else 0

    def stop(self) -> None:
        """Drain and leave; a second call ends the workers at once."""
        if self._crew.stopping.is_set():
            self._cut.set()
        self._crew.stopping.set()
        self._crew.look()

    def _announce(self, admin: str | None) -> None:
        urls = [address if "://" in address else f"http://{address}" for address in self._listen]
        names = ["front door", *(f"front door {number}" for number in range(2, len(urls) + 1))]
        addresses = dict(zip(names, urls, strict=True))
        if admin is not None:
            addresses["admin plane"] = f"http://{admin}/admin/backends"
        self._log("ready", generation=self._generation, addresses=addresses)
        self._ready(addresses)

    def _signals(self) -> ExitStack:
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self.stop,
            signal.SIGHUP: self._reload_wanted.set,
        }
        undo = ExitStack()
        for number, handler in handlers.items():
            # Outside the main thread signals belong to somebody else.
            with suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, handler)
                undo.callback(loop.remove_signal_handler, number)
        return undo

    # What workers say (holdfast.balancer.shell.workers.Owner)

    def welcome(self, slot: WorkerSlot) -> Sequence[ToWorker]:
        """The configuration and, at once behind it, the views: nobody begins with a bad backend."""
        self._board.forget(slot.number)
        news = self._board.news([*self._crew.serving(), slot.number])
        mine = news.pop(slot.number, Views(()))
        self._send(news)  # trial permits may have moved from the others to the newcomer
        return self._configuration(), mine

    def heard(self, slot: WorkerSlot, message: ToMaster) -> None:
        """A worker said something."""
        match message:
            case Outcomes(reports):
                self._apply(self._board.on_reports(slot.number, reports, time.monotonic()))
            case Ready(pid, generation, error):
                self._log("worker_ready", worker=slot.number, worker_pid=pid, generation=generation, error=error)
                self._board.forget(slot.number)
                self._push()
            case Drained(cut):
                self._log("worker_drained", worker=slot.number, cut=cut)

    def lost(self, slot: WorkerSlot, code: int) -> None:
        """A worker process ended."""
        self._board.on_worker_gone(slot.number)
        if slot.state != "draining":
            self._tally.restart()
            self._event("worker", {"worker": slot.number, "ended": code})
            log.warning("worker ended", extra={"action": "worker_end", "worker": slot.number, "code": code})

    # Decisions

    def _on_probe(self, ref: BackendRef, result: ProbeResult) -> None:
        self._apply(self._board.on_probe(ref, result, time.monotonic()))

    async def _tick(self) -> None:
        while True:
            due = time.monotonic() + TICK_S
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            self._lag_s = max(0.0, now - due)
            self._apply(self._board.tick(now))
            self._push()

    def _apply(self, transitions: Iterable[Transition]) -> None:
        changed = False
        for transition in transitions:
            changed = True
            self._tally.transition(transition)
            data: dict[str, Any] = msgspec.to_builtins(transition)
            del data["at"]  # monotonic; the event has the wall clock
            self._event("transition", data)
            log.info("transition", extra={"action": "transition", **data})
        if changed:
            # At once: until a worker knows, it goes on sending requests to a backend that is out.
            self._push()

    def _push(self) -> None:
        self._send(self._board.news(self._crew.serving()))

    def _send(self, news: Mapping[int, Views]) -> None:
        for number, views in news.items():
            self._crew.post(views, number)

    # Configuration

    async def reload(self) -> int:
        """Read the settings anew and put them in force; the new generation.

        Raises :class:`ReloadError`; the old settings then stay, or are back, in force. Raises
        :class:`WorkerError` when the new ones were accepted, but workers are missing.
        """
        async with self._reloading:
            try:
                async with asyncio.timeout(READ_DEADLINE_S):
                    wanted = await asyncio.to_thread(self._read_settings)
            except TimeoutError as late:
                remedy = "check the file system that holds it"
                raise ReloadError(
                    f"not read after {READ_DEADLINE_S:g} s", where="configuration", remedy=remedy
                ) from late
            except HoldfastError as invalid:
                raise ReloadError(
                    str(invalid), where="configuration", remedy="correct it and reload again"
                ) from invalid
            for key in ("listen", "admin"):
                if getattr(wanted, key) != getattr(self._settings, key):
                    raise ReloadError(
                        "cannot change while running",
                        where=f"balancer.{key}",
                        remedy="undo the change, or restart the balancer",
                    )
            try:
                Board.check(wanted)
            except ValueError as contradiction:
                raise ReloadError(str(contradiction), where="balancer.pools", remedy="correct it") from contradiction
            forget_certificates()
            await self._put_in_force(wanted, self._discovered)
            self._log("reload", generation=self._generation)
            self._event("reload", {"generation": self._generation})
            return self._generation

    async def _put_in_force(self, wanted: BalancerSettings, discovered: dict[str, tuple[Endpoint, ...]]) -> None:
        before = self._settings, self._discovered
        # A pool that now looks up another name keeps the old endpoints until that name resolves.
        discovered = {
            pool: endpoints
            for pool, endpoints in discovered.items()
            if pool in wanted.pools and wanted.pools[pool].discovery is not None
        }
        refusal = await self._roll_out(wanted, discovered)
        if refusal is not None:
            await self._roll_out(*before)
            raise ReloadError(refusal, where="configuration", remedy="correct it and reload again")
        self._apply(self._board.reconfigure(wanted, self._endpoints(), time.monotonic()))
        self._retarget()
        self._push()
        if self._crew.started:  # else the start waits for other names too
            self._crew.scale(wanted.workers, wanted.drain_timeout)
        self._crew.look()
        if not await self._crew.until(lambda: self._crew.in_force(self._generation), APPLY_DEADLINE_S):
            raise WorkerError(
                f"generation {self._generation} is accepted, but after {APPLY_DEADLINE_S:g} s not in force in all",
                where="workers",
                remedy="read the log, and ask /readyz for their states",
            )

    async def _roll_out(self, settings: BalancerSettings, discovered: dict[str, tuple[Endpoint, ...]]) -> str | None:
        """Give every worker a new generation; why one refused it, if one did."""
        self._settings, self._discovered = settings, discovered
        self._generation += 1
        return await self._crew.roll_out(self._configuration())

    def _configuration(self) -> Configure:
        settings = msgspec.structs.replace(self._settings, listen=self._listen)
        strategies = {pool: name for pool, name in self._strategies.items() if pool in settings.pools}
        return Configure(self._generation, settings, tuple(self._endpoints()), strategies)

    def _endpoints(self) -> list[Endpoint]:
        return [endpoint for name in self._settings.pools for endpoint in self._discovered.get(name, ())]

    async def _reload_on_signal(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            try:
                await self.reload()
            except BalancerError as refused:
                log.warning("reload refused", extra={"action": "reload", "why": str(refused)})
            except Exception:
                # Whatever reads the configuration is not ours; it must not take the balancer down.
                log.exception("reload failed", extra={"action": "reload"})

    # Discovery and health checks

    def _retarget(self) -> None:
        self._prober.retarget(targets(self._settings, self._endpoints()))
        wanted = {name: pool.discovery for name, pool in self._settings.pools.items() if pool.discovery is not None}
        for name, (settings, task) in list(self._watchers.items()):
            if wanted.get(name) != settings:
                task.cancel()
                del self._watchers[name]
        for name, discovery in wanted.items():
            if name not in self._watchers:
                watch = self._watch(name, DnsDiscovery(name, discovery, self._resolver))
                self._watchers[name] = discovery, self._group.create_task(watch, name=f"discovery {name}")

    async def _watch(self, pool: str, discovery: DnsDiscovery) -> None:
        async for endpoints in discovery.watch():
            # Tried again until it is taken: the name is told only when it changes, and what workers refuse (a
            # certificate that is just being replaced) has nothing to do with it.
            while not await self._take(pool, endpoints):  # noqa: ASYNC110 - nobody tells when they would
                await asyncio.sleep(DISCOVERY_RETRY_S)

    async def _take(self, pool: str, endpoints: tuple[Endpoint, ...]) -> bool:
        """Put what was found in force; false if workers refused it."""
        async with self._reloading:
            try:
                await self._put_in_force(self._settings, {**self._discovered, pool: endpoints})
            except BalancerError as refused:
                log.warning("discovery refused", extra={"action": "discovery", "pool": pool, "why": str(refused)})
                return not isinstance(refused, ReloadError)
            self._event("discovery", {"pool": pool, "backends": [endpoint.backend for endpoint in endpoints]})
            return True

    async def _ask_regularly(self) -> None:
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            await self._crew.ask()

    # What operators ask (holdfast.balancer.shell.admin.ControlPlane)

    @property
    def settings(self) -> BalancerSettings:
        """The settings in force."""
        return self._settings

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether traffic is served here.

        Backends do not count: a balancer without a good backend must still answer 503 itself,
        and restarting it would bring none back.
        """
        draining = self._crew.stopping.is_set()
        ready = bool(self._crew.serving()) and not draining
        return ready, {"ready": ready, "draining": draining, "workers": self._crew.states()}

    async def metrics(self) -> bytes:
        """The Prometheus exposition of master and workers."""
        stale = await self._crew.ask()
        own = {
            "holdfast_config_generation": {"": float(self._generation)},
            "holdfast_master_lag_seconds": {"": self._lag_s},
            "holdfast_worker_stale": {str(n): float(n in stale) for n in self._crew.serving()},
        }
        return exposition(
            (
                self._crew.stats.counters(),
                self._crew.stats.gauges(),
                self._tally.counters(),
                of_backends(self.snapshot().values()),
                own,
            )
        )

    def snapshot(self) -> dict[str, PoolSnapshot]:
        """Every pool at a glance."""
        return self._board.snapshot(time.monotonic())

    def explain(self, pool: str, backend: str) -> Explanation:
        """Why a backend is in or out."""
        return self._board.explain(pool, backend, time.monotonic())

    def drain(self, pool: str, backend: str, drained: bool) -> None:
        """Take a backend out of use, or put it back."""
        self._apply(self._board.set_drain(pool, backend, drained, time.monotonic()))
        self._push()

    def weigh(self, pool: str, backend: str, weight: float | None) -> None:
        """Override the weight of a backend; ``None`` returns to the configured one."""
        self._apply(self._board.set_weight(pool, backend, weight, time.monotonic()))
        self._push()

    def strategies(self) -> dict[str, StrategyName]:
        """The strategy in force, by pool."""
        return {name: self._strategies.get(name, pool.strategy) for name, pool in self._settings.pools.items()}

    def switch(self, pool: str, strategy: StrategyName) -> None:
        """Use another strategy from now on, also after a reload."""
        if pool not in self._settings.pools:
            raise NotFoundError(
                f"there is no pool {pool!r}", where="pool", remedy=f"use one of: {', '.join(self._settings.pools)}"
            )
        self._strategies = {**self._strategies, pool: strategy}
        self._crew.post(Switch(pool, strategy))
        self._event("strategy", {"pool": pool, "strategy": strategy})

    def _event(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append(kind, data, dt.datetime.now(dt.UTC))

    def _log(self, action: str, **fields: object) -> None:
        log.info(action, extra={"action": action, **fields})
