"""Keep services running: one child process each.

    starting --ready--> running --exit--> waiting (backoff) --> starting
        |                  |
        +------ stop ------+--> draining (SIGTERM) --bound--> killed (SIGKILL)

Rules:

- A child that exits without having been asked is restarted after a wait with full jitter.
- More than ``restarts`` of one service within ``window``, or exit status 2 (its input is wrong,
  which no restart mends), ends everything with an error that names it.
- SIGTERM and SIGINT drain all children at once; each has its own bound plus ``grace``, after which
  its process group is killed. A second one of these signals kills at once.
- SIGHUP is passed on, to a service that is starting when it is ready: each reloads by itself.
  If the terminal has gone, nobody asked for a reload, and everything drains.
- What a crashed service left behind (workers that serve on without their master) is drained at the end.
- Children get SIGTERM from the kernel should this process die.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final, TypeAlias

from holdfast.app.child import Child, Service, Sink, describe
from holdfast.app.orphans import Orphans
from holdfast.app.readiness import notify
from holdfast.app.settings import SupervisorSettings
from holdfast.kernel import HoldfastError
from holdfast.resilience import full_jitter

Addresses: TypeAlias = Mapping[str, Mapping[str, str]]
"""Service name -> what -> address."""

_WRONG_INPUT: Final = 2
_log: Final = logging.getLogger("holdfast.supervisor")


class ServiceFailed(HoldfastError):
    """A service could not be kept running (or could not be stopped in order)."""

    def __init__(self, service: str, reason: str, last_words: Sequence[str], *, exit_code: int = 1) -> None:
        self.service = service
        self.exit_code = exit_code
        said = "".join(f"\n    {line}" for line in last_words)
        super().__init__(f"{service}: {reason}" + (f"; its last lines:{said}" if said else ""))


def to_stderr(data: bytes) -> None:
    """The plain sink: our own standard error."""
    sys.stderr.buffer.write(data)
    sys.stderr.buffer.flush()


def _has_terminal() -> bool:
    """Whether a terminal shows our standard error; no longer so after a hang-up."""
    try:
        return os.isatty(sys.stderr.fileno())
    except (OSError, ValueError):  # replaced by something without a descriptor
        return False


class Supervisor:
    """Runs until it is told to stop or a service cannot be kept running."""

    def __init__(
        self,
        services: Sequence[Service],
        settings: SupervisorSettings,
        *,
        rng: Random,
        sink: Sink = to_stderr,
        on_up: Callable[[Addresses], None] | None = None,
    ) -> None:
        self._services = services
        self._settings = settings
        self._rng = rng
        self._sink = sink
        self._on_up = on_up
        self._children: dict[str, Child] = {}
        self._ready: set[str] = set()
        self._reload_due: set[str] = set()
        self._orphans = Orphans()
        self._terminal = _has_terminal()
        self._addresses: dict[str, dict[str, str]] = {}
        self._stop = asyncio.Event()
        self._kill = asyncio.Event()
        self._failure: ServiceFailed | None = None

    async def run(self) -> None:
        """Start all services and keep them. Returns after an orderly stop; raises :class:`ServiceFailed`."""
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: lambda: self._asked_to_stop(signal.SIGTERM),
            signal.SIGINT: lambda: self._asked_to_stop(signal.SIGINT),
            signal.SIGHUP: self._pass_on_reload,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            async with asyncio.TaskGroup() as group:
                for service in self._services:
                    group.create_task(self._keep(service), name=f"keep {service.name}")
        finally:
            await self._end_orphans()
            for number in handlers:
                loop.remove_signal_handler(number)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Drain everything; :meth:`run` returns when that is done."""
        self._stop.set()

    def _asked_to_stop(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            _log.warning("%s again: killing what still runs", number.name, extra={"action": "kill"})
            self._kill.set()
            return
        _log.info("%s: draining", number.name, extra={"action": "drain", "services": list(self._children)})
        notify("STOPPING=1")
        self._stop.set()

    def _pass_on_reload(self) -> None:
        if self._terminal and not _has_terminal():
            self._asked_to_stop(signal.SIGHUP)
            return
        _log.info("reload", extra={"action": "reload", "services": list(self._children)})
        for name, child in self._children.items():
            if name in self._ready:
                child.signal(signal.SIGHUP)
            else:  # it may have read the old file, and has no handler yet: the signal would end it
                self._reload_due.add(name)

    def _fail(self, failure: ServiceFailed) -> None:
        if self._failure is None:
            self._failure = failure
        self._stop.set()

    async def _keep(self, service: Service) -> None:
        loop = asyncio.get_running_loop()
        exits: deque[float] = deque()
        while not self._stop.is_set():
            try:
                child = await Child.start(service, self._sink)
            except OSError as error:  # no process, memory or descriptor left: may pass
                reason, last_words = f"cannot be started: {error.strerror}", list[str]()
            else:
                ended = await self._live(child)
                if ended is None:
                    return
                reason, last_words = ended, child.last_words()
            exits.append(loop.time())
            while exits[0] < loop.time() - self._settings.window:
                exits.popleft()
            await self._after(service, reason, last_words, len(exits))

    async def _live(self, child: Child) -> str | None:
        """See one child through its life and clean up after it. Returns why it is to be started again, if it is."""
        name = child.service.name
        self._children[name] = child
        try:
            reason = await self._attend(child)
        finally:
            await child.close()
            del self._children[name]
            self._ready.discard(name)
        self._orphans.adopt(child.pid)
        status = child.exit.result() if child.exit.done() else None
        if reason is None and status not in {0, -signal.SIGTERM}:
            ending = describe(status) if status is not None else "cannot be killed"
            self._fail(ServiceFailed(name, f"did not stop in order: {ending}", child.last_words()))
        if reason is not None and status == _WRONG_INPUT:
            self._fail(ServiceFailed(name, "refused its input", child.last_words(), exit_code=_WRONG_INPUT))
            return None
        return reason

    async def _after(self, service: Service, reason: str, last_words: Sequence[str], exits: int) -> None:
        """A service ended unasked for the ``exits``-th time within the window: wait, or give up."""
        settings = self._settings
        if exits > settings.restarts:
            gave_up = f"{reason}, after {settings.restarts} restarts within {settings.window}"
            self._fail(ServiceFailed(service.name, gave_up, last_words))
            return
        delay = full_jitter(exits - 1, self._rng, base_s=settings.backoff_min, cap_s=settings.backoff_max)
        delay = max(delay, service.rest_s)
        fields = {
            "action": "service_exited",
            "service": service.name,
            "reason": reason,
            "restart_in_s": round(delay, 3),
        }
        _log.warning("%s: %s; starting it again", service.name, reason, extra=fields)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._stop.wait()

    async def _attend(self, child: Child) -> str | None:
        """Wait until a child ends, or end it. Returns why it ended, or ``None`` when it was to end."""
        stopping = asyncio.create_task(self._stop.wait())
        starting = asyncio.create_task(self._welcome(child))
        try:
            done, _ = await asyncio.wait(
                {child.exit, stopping, starting},
                return_when=asyncio.FIRST_COMPLETED,
                timeout=self._settings.start_timeout,
            )
            if not done:
                child.kill()
                return f"not ready within {self._settings.start_timeout}"
            if starting in done:
                starting.result()
            await asyncio.wait({child.exit, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not child.exit.done():
                await self._drain(child)
            elif not stopping.done():
                return describe(child.exit.result())
            return None
        finally:
            stopping.cancel()
            starting.cancel()
            await asyncio.gather(stopping, starting, return_exceptions=True)

    async def _end_orphans(self) -> None:
        """Drain what crashed services left behind, within the longest bound that a service has."""
        if self._orphans:
            bound = max(service.drain_s for service in self._services) + self._settings.grace
            self._orphans.send(signal.SIGTERM)
            gone = asyncio.create_task(self._orphans.wait_gone())
            killing = asyncio.create_task(self._kill.wait())
            await asyncio.wait({gone, killing}, return_when=asyncio.FIRST_COMPLETED, timeout=bound)
            gone.cancel()
            killing.cancel()
            await asyncio.gather(gone, killing, return_exceptions=True)
            self._orphans.send(signal.SIGKILL)
        self._orphans.close()

    async def _welcome(self, child: Child) -> None:
        addresses = await child.ready()
        if addresses is None:
            return  # its exit tells more, and a program of no readiness protocol is taken as it is
        name, everybody = child.service.name, {service.name for service in self._services}
        complete = self._addresses.keys() >= everybody
        self._addresses[name] = addresses
        self._ready.add(name)
        if name in self._reload_due:
            self._reload_due.discard(name)
            child.signal(signal.SIGHUP)
        fields = {"action": "service_up", "service": name, "child_pid": child.pid, "addresses": addresses}
        _log.info("%s is up", name, extra=fields)
        if not complete and self._addresses.keys() >= everybody:
            notify("READY=1")
            if self._on_up is not None:
                self._on_up(self._addresses)

    async def _drain(self, child: Child) -> None:
        service, bound = child.service, child.service.drain_s + self._settings.grace
        child.signal(signal.SIGTERM)
        killing = asyncio.create_task(self._kill.wait())
        try:
            await asyncio.wait({child.exit, killing}, return_when=asyncio.FIRST_COMPLETED, timeout=bound)
        finally:
            killing.cancel()
        if child.exit.done():
            return
        child.kill()
        reason = "was killed before it had drained" if self._kill.is_set() else f"did not stop within {bound:g} s"
        fields = {"action": "service_killed", "service": service.name, "bound_s": float(bound)}
        _log.error("%s: %s", service.name, reason, extra=fields)
        self._fail(ServiceFailed(service.name, f"{reason}; requests in flight were cut", ()))
