"""Worker processes: start, talk, notice their end, start again.

::

    starting --Ready--> serving --drain()--> draining --exit--> stopped
       |                   |
       +------ exit -------+--> waiting (backoff) --> starting
                                    |
                                    +--> gave up: WorkerError

One slot is one place for a worker; its number stays while processes come and go. A dead
worker concerns its slot alone. The kernel stops sending it connections the moment its
listening sockets close, and the others go on. A dead master concerns all of them: they read
the end of their channels, serve on for a while, and drain.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, Protocol

from holdfast.balancer.core.messages import Drain, Ready, ToMaster, ToWorker
from holdfast.balancer.errors import ControlError, WorkerError
from holdfast.balancer.shell.control import CONTROL_FD, ControlChannel, master_end

log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-m", "holdfast.balancer.shell.worker")
_EXIT_GRACE_S: Final = 2.0
"""From the end of its channel to the end of the process; after it the process is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """Exponential backoff with equal jitter, and when to stop trying.

    With the defaults a worker that dies at once is tried for about half a minute, which
    outlasts a full disk or a port in use for a moment, and then the process exits with 1
    so that the supervisor above sees it.
    """

    first_s: float = 0.1
    longest_s: float = 5.0
    attempts: int = 12
    """Starts in a row that did not live for ``healthy_s``."""
    healthy_s: float = 30.0
    ready_s: float = 15.0
    """From the start to ``Ready``; a worker that takes longer is killed."""

    def delay_s(self, attempt: int, rng: Random) -> float:
        """The pause before start number ``attempt`` + 1 (from 1)."""
        ceiling = min(self.longest_s, self.first_s * 2.0 ** (attempt - 1))
        return ceiling * rng.uniform(0.5, 1.0)


class Owner(Protocol):
    """Who owns the slots: the master."""

    def welcome(self, slot: WorkerSlot) -> Sequence[ToWorker]:
        """What a fresh worker is told first: a ``Configure`` and the views."""
        ...

    def heard(self, slot: WorkerSlot, message: ToMaster) -> None:
        """A message came."""
        ...

    def lost(self, slot: WorkerSlot, code: int) -> None:
        """The process ended with this return code."""
        ...


State = Literal["starting", "serving", "waiting", "draining", "stopped"]


class WorkerSlot:
    """A place for one worker process."""

    def __init__(self, number: int, owner: Owner, command: Sequence[str], policy: RestartPolicy, rng: Random) -> None:
        """Nothing starts before :meth:`run`."""
        self.number = number
        self.state: State = "starting"
        self.pid: int | None = None
        self.generation = 0
        """The configuration in force there; 0 before the first ``Ready`` of each process."""
        self.silent = 0
        """Questions in a row that went unanswered."""
        self._owner = owner
        self._command = command
        self._policy = policy
        self._rng = rng
        self._process: asyncio.subprocess.Process | None = None
        self._channel: ControlChannel[ToMaster, ToWorker] | None = None
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Keep a worker running until :meth:`drain` or :meth:`kill`. Raises :class:`WorkerError` on giving up."""
        attempt = 0
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                code = await self._live()
                if self._stop.is_set():
                    return
                attempt = 1 if time.monotonic() - began >= self._policy.healthy_s else attempt + 1
                if attempt >= self._policy.attempts:
                    raise WorkerError(
                        f"ended {attempt} times in a row, last with {_describe(code)}",
                        where=f"worker {self.number}",
                        remedy="read its log lines above, and check memory, files and ports",
                    )
                self.state = "waiting"
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._policy.delay_s(attempt, self._rng)):
                        await self._stop.wait()
        finally:
            self.state = "stopped"

    def post(self, message: ToWorker) -> bool:
        """Send a message if there is a worker to take it. A worker that does not read is killed."""
        if self._channel is None or self.state not in ("starting", "serving"):
            return False
        try:
            self._channel.post(message)
        except ControlError as broken:
            log.warning(
                "worker unreachable", extra={"action": "worker_kill", "worker": self.number, "why": str(broken)}
            )
            self._signal(signal.SIGKILL)
            return False
        return True

    def drain(self, timeout_s: float) -> None:
        """Ask the worker to finish and exit; :meth:`run` returns when it has. Asking again changes nothing."""
        if self._stop.is_set():
            return
        asked = self.post(Drain(timeout_s))
        self._stop.set()
        if asked:
            self.state = "draining"
        else:
            self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """End the worker at once, for good."""
        self._stop.set()
        self._signal(signal.SIGKILL)

    def replace(self) -> None:
        """End this process at once; the slot starts another."""
        self._signal(signal.SIGKILL)

    async def _live(self) -> int:
        """One process from start to end; the return code is negative for a signal."""
        self.state, self.generation, self.silent = "starting", 0, 0
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    env={**os.environ, CONTROL_FD: str(theirs.fileno())},
                    pass_fds=(theirs.fileno(),),
                )
        except BaseException as failed:
            ours.close()
            if not isinstance(failed, OSError):
                raise
            log.warning(
                "worker not started", extra={"action": "worker_start", "worker": self.number, "why": str(failed)}
            )
            return 127
        self._process, self.pid = process, process.pid
        if self._stop.is_set():
            # Asked to stop while the process was being made: nobody could signal it yet.
            self._signal(signal.SIGKILL)
        try:  # from here on: whoever is cancelled while the channel is being made has a process to end, too
            self._channel = await master_end(ours, worker=self.number)
            await self._converse(self._channel)
        except ControlError as broken:
            log.warning("worker broke", extra={"action": "worker_kill", "worker": self.number, "why": str(broken)})
            self._signal(signal.SIGKILL)
        finally:
            if self._channel is not None:
                self._channel.close()
                self._channel = None
            else:
                ours.close()
            code = await self._reap(process)
            self._process, self.pid = None, None
            self._owner.lost(self, code)
        return code

    async def _converse(self, channel: ControlChannel[ToMaster, ToWorker]) -> None:
        for message in self._owner.welcome(self):
            channel.post(message)
        try:
            async with asyncio.timeout(self._policy.ready_s) as until_ready:
                while (heard := await channel.receive()) is not None:
                    if isinstance(heard, Ready) and self.generation == 0 and heard.error is None:
                        until_ready.reschedule(None)
                        if self.state == "starting":
                            self.state = "serving"
                    if isinstance(heard, Ready) and heard.error is None:
                        self.generation = heard.generation
                    self._owner.heard(self, heard)
        except TimeoutError as late:
            raise ControlError(
                f"not ready after {self._policy.ready_s:g} s",
                where=f"worker {self.number}",
                remedy="read its log lines above",
            ) from late

    async def _reap(self, process: asyncio.subprocess.Process) -> int:
        try:
            async with asyncio.timeout(_EXIT_GRACE_S):
                return await process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            return await process.wait()
        except asyncio.CancelledError:
            self._signal(signal.SIGKILL)
            await process.wait()
            raise

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _describe(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
