"""A worker: serves traffic, does what the master says, reports what happens.

Started by the master as ``python -m holdfast.balancer.shell.worker`` with one end of a socket pair.

- The first message is ``Configure``; listeners open then, and ``Ready`` answers it.
- Failed attempts and trials are reported at once, the rest every 50 ms.
- Without a master it goes on with the views it has: a new master starts new workers on the same
  ports meanwhile, and this one drains after a grace period.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from random import Random
from typing import TYPE_CHECKING, Final

import uvloop

from holdfast.balancer.core.messages import (
    Ask,
    BackendRef,
    BackendReport,
    Configure,
    Drain,
    Drained,
    Outcomes,
    Ready,
    Run,
    Switch,
    ToMaster,
    ToWorker,
    Views,
)
from holdfast.balancer.core.routing import compile_routes
from holdfast.balancer.errors import BalancerError, ControlError
from holdfast.balancer.shell.control import ControlChannel, worker_end
from holdfast.balancer.shell.listening import reserve, split_address
from holdfast.balancer.shell.stats import worker_stats
from holdfast.balancer.shell.wiring import PoolSet, edge_policy
from holdfast.kernel import HoldfastError
from holdfast.proxy import AccessLog, Certificate, Certificates, Engine, TlsError
from holdfast.telemetry import logs

if TYPE_CHECKING:
    from holdfast.balancer.core.settings import BalancerSettings
    from holdfast.proxy import Backend, OutcomeRun

_log: Final = logging.getLogger(__name__)
_REPORT_S: Final = 0.05
_FIRST_MESSAGE_S: Final = 15.0
_ORPHAN_GRACE_S: Final = 5.0


class Worker:
    """One data-plane process. :meth:`run` returns the exit code."""

    def __init__(self, channel: ControlChannel[ToWorker, ToMaster]) -> None:
        self._channel = channel
        self._rng = Random()
        self._pool_set = PoolSet(self._rng)
        self._engine: Engine | None = None
        self._settings: BalancerSettings | None = None
        self._certificates: Certificates | None = None
        self._report_due = False
        self._told: dict[tuple[str, str], tuple[int, float]] = {}
        self._stop = asyncio.Event()
        self._drain_s = 30.0

    async def run(self) -> int:
        """Serve until told to drain, until the master is gone, or until SIGTERM."""
        async with asyncio.timeout(_FIRST_MESSAGE_S):
            first = await self._channel.receive()
        if not isinstance(first, Configure):
            return 1
        engine = await self._start(first)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # of a terminal: the master drains us in order
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        reports = loop.create_task(self._report_regularly())
        # What exists now lives as long as the process: collections need not look at it again. Requests make
        # no cycles, so collecting rarely costs no memory.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        listening = loop.create_task(self._listen())
        stopping = loop.create_task(self._stop.wait())
        await asyncio.wait({listening, stopping, reports}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in (listening, reports):
            if task.done() and (bug := task.exception()) is not None:
                # Deaf or mute, this worker is better replaced; what is in flight may finish.
                _log.error("the worker drains", exc_info=bug, extra={"action": "worker_failed"})
        self._report()
        # Goes on listening: after SIGTERM the master knows nothing of the drain, and kills who does not answer.
        cut = await engine.drain(self._drain_s)
        listening.cancel()
        reports.cancel()
        self._report()
        self._post(worker_stats(0, engine, self._pool_set.gone.values()))
        self._post(Drained(cut=cut))
        try:
            await self._channel.flush(1.0)
        except ControlError:
            pass
        engine.close()
        if engine.access_log is not None:
            engine.access_log.close()
        return 0

    async def _start(self, configure: Configure) -> Engine:
        settings = configure.settings
        engine = self._engine = Engine(edge=edge_policy(settings), rng=self._rng, clock=time.monotonic, utc=time.time)
        engine.urgent = self._urgent
        if settings.certificates:
            self._certificates = Certificates(_certificates(settings))
        self._apply(engine, configure)
        for address in settings.listen:
            scheme, _, _ = split_address(address)
            reserved = await reserve(address, listen=False)
            context = None
            if scheme.startswith("https"):
                if self._certificates is None:
                    raise TlsError(f"{address}: https needs a certificate; add one under balancer.certificates")
                context = self._certificates.context
            await engine.listen(reserved.sock, context)
        engine.start()
        self._post(Ready(pid=os.getpid(), generation=configure.generation))
        return engine

    def _apply(self, engine: Engine, configure: Configure) -> None:
        settings = configure.settings
        log = AccessLog.open(settings.access_log.path) if settings.access_log.enabled else None
        try:
            if self._certificates is not None:
                self._certificates.load(_certificates(settings))
            pools = self._pool_set.reconfigure(
                settings, configure.discovered, configure.strategies, max(1, settings.workers)
            )
            router = compile_routes(settings)
        except BaseException:
            if log is not None:
                log.close()
            raise
        # The file is opened anew each time, so that a reload is also what log rotation needs.
        engine.log_to(log)
        engine.reconfigure(edge=edge_policy(settings), pools=pools, route=router.match)
        live = {(name, backend.id) for name, pool in pools.items() for backend in pool.backends}
        self._told = {key: load for key, load in self._told.items() if key in live}
        self._settings = settings
        self._drain_s = settings.drain_timeout

    # What the master says.

    async def _listen(self) -> None:
        """Take messages until the channel ends or breaks, and serve on for a grace period."""
        try:
            while (message := await self._channel.receive()) is not None:
                self._take(message)
                if isinstance(message, Drain):
                    return
            why = "the channel was closed"
        except ControlError as broken:
            why = str(broken)
        _log.warning(
            "the master is gone; serving on with the last views",
            extra={"action": "worker_orphaned", "grace_s": _ORPHAN_GRACE_S, "why": why},
        )
        await asyncio.sleep(_ORPHAN_GRACE_S)

    def _take(self, message: ToWorker) -> None:
        engine = self._engine
        if engine is None:  # pragma: no cover - _start made it
            return
        match message:
            case Views():
                self._see(message)
            case Ask():
                self._post(worker_stats(message.number, engine, self._pool_set.gone.values()))
            case Configure():
                error = None
                try:
                    self._apply(engine, message)
                except (HoldfastError, ValueError, OSError) as refused:
                    error = str(refused)
                self._post(Ready(pid=os.getpid(), generation=message.generation, error=error))
            case Switch():
                if (pool := engine.pools.get(message.pool)) is not None:
                    pool.switch(message.strategy)
                    engine.forget_plans()
            case Drain():
                self._drain_s = message.timeout_s

    def _see(self, message: Views) -> None:
        engine = self._engine
        if engine is None:  # pragma: no cover
            return
        now = engine.clock()
        touched = set()
        for view in message.views:
            pool = engine.pools.get(view.ref.pool)
            backend = None if pool is None else pool.backend(view.ref.backend)
            if pool is None or backend is None:
                continue
            if view.trials and view.state != backend.state:
                backend.trials_since = now
            backend.weight = view.weight
            backend.trials = view.trials
            backend.state = view.state
            if view.weight <= 0 and not view.trials:
                backend.close_idle()
            touched.add(pool)
        for name, limit in message.pool_limits.items():
            if (pool := engine.pools.get(name)) is not None:
                # The bound is for all workers together.
                workers = self._settings.workers if self._settings is not None else 1
                pool.set_limit(None if limit is None else -(-limit // workers))
                touched.add(pool)
        for pool in touched:
            pool.trials_open = any(backend.trials > 0 for backend in pool.backends)
            if pool.queue:
                pool.wake(now)

    # What the worker reports.

    def _urgent(self) -> None:
        if not self._report_due:
            self._report_due = True
            asyncio.get_running_loop().call_soon(self._report)

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_S)
            self._report()

    def _report(self) -> None:
        self._report_due = False
        engine = self._engine
        if engine is None:
            return
        reports: list[BackendReport] = []
        for pool in engine.pools.values():
            for backend in pool.backends:
                reports.extend(self._reports_of(pool.name, backend))
        if reports:
            self._post(Outcomes(reports=tuple(reports)))

    def _reports_of(self, pool: str, backend: Backend) -> list[BackendReport]:
        key = (pool, backend.id)
        runs = backend.outcomes.take()
        trial_runs = backend.trial_outcomes.take()
        load = (backend.in_flight, backend.latency_s)
        reports = []
        if runs or self._told.get(key, (0, 0.0))[0] != load[0]:
            self._told[key] = load
            reports.append(BackendReport(BackendRef(pool, backend.id), _runs(runs), *load))
        if trial_runs:
            reports.append(BackendReport(BackendRef(pool, backend.id), _runs(trial_runs), *load, trial=True))
        return reports

    def _post(self, message: ToMaster) -> None:
        try:
            self._channel.post(message)
        except ControlError:
            # The master is gone or does not read; _listen() notices and decides what follows.
            pass


def _runs(runs: tuple[OutcomeRun, ...]) -> tuple[Run, ...]:
    return tuple(Run(run.failure, run.count, run.requests) for run in runs)


def _certificates(settings: BalancerSettings) -> list[Certificate]:
    return [Certificate(cert=each.cert, key=each.key) for each in settings.certificates]


async def _main() -> int:
    return await Worker(await worker_end()).run()


def main() -> None:
    """Run a worker process."""
    logs.configure(human=logs.format_from_environment())
    try:
        code = uvloop.run(_main())
    except (BalancerError, HoldfastError, OSError, TimeoutError) as error:
        _log.error("worker stopped: %s", error, extra={"action": "worker_failed"})
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
