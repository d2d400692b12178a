"""Regular expressions and JSONPath over bodies that strangers send.

Both can be made to run for ages (``(a+)+$`` over the right body), and neither can be stopped from outside: not in a
thread, and not by refusing "dangerous" expressions, which nobody can tell for sure. So they run in a process of their
own, which ends itself when a search takes longer than :data:`SEARCH_S`. An expression that did that is not tried
again for :data:`BANNED_S`; otherwise a few of them would keep everybody else's searches waiting. Such a probe says
nothing about its target (outcome unknown).
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.shell.probes.examination import ANSWERED, ASKED
from holdfast.netpulse.shell.probes.finding import Failed
from holdfast.netpulse.shell.probes.wire import Wire

SEARCH_S: Final = 0.5
"""Generous for a search that is linear; chosen, not measured."""
BANNED_S: Final = 600.0
BANNED: Final = 1024
"""Expressions that are remembered as banned."""
PROCESSES: Final = 2
MEMORY_BYTES: Final = 1024 * 2**20
"""Of address space: a bound against runaways, far above what the default ``body_limit`` needs."""
_SCRIPT: Final = str(Path(__file__).with_name("examination.py"))
_GRACE_S: Final = 1.0
"""Beyond the limit of a search: for the process to start, and for a machine that is busy."""


class Examiner:
    """Searches bodies in up to :data:`PROCESSES` processes, started when they are needed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._idle: list[_Process] = []
        self._free = asyncio.Semaphore(PROCESSES)
        self._banned: dict[str, float] = {}

    async def matches(self, expression: str, body: bytes, left_s: float) -> bool:
        """Whether a regular expression matches somewhere. Raises :class:`Failed`."""
        return await self._search(b"r", expression, body, left_s) is not None

    async def first(self, query: str, body: bytes, left_s: float) -> str | None:
        """The first value that a JSONPath finds, as text; ``None``: nothing, or no JSON. Raises :class:`Failed`."""
        return await self._search(b"j", query, body, left_s)

    async def _search(self, kind: bytes, expression: str, body: bytes, left_s: float) -> str | None:
        self._refuse_banned(expression)
        try:
            # The wait for a process is not the target's doing; its end is told apart from the probe's.
            async with asyncio.timeout(left_s * 0.9):
                await self._free.acquire()
        except TimeoutError:
            raise Failed(Failure.AGENT, "the agent has too many expressions to search for") from None
        try:
            self._refuse_banned(expression)
            process = self._idle.pop() if self._idle else _Process(asyncio.get_running_loop())
            try:
                found, text = await process.search(kind, expression, body)
            except BaseException as error:
                process.end()
                if isinstance(error, TimeoutError | Failed):
                    self._ban(expression)
                    raise Failed(
                        Failure.AGENT,
                        f"the monitor's expression took longer than {SEARCH_S} s; simplify it, or lower body_limit",
                    ) from None
                raise
            self._idle.append(process)
        except OSError as error:
            raise Failed(Failure.AGENT, f"the agent cannot start a search: {error.strerror or error}") from None
        finally:
            self._free.release()
        if found == b"?":
            raise Failed(Failure.AGENT, f"the monitor's expression cannot be searched for: {text}")
        return text if found == b"+" else None

    def close(self) -> None:
        """End the processes."""
        while self._idle:
            self._idle.pop().end()

    def _refuse_banned(self, expression: str) -> None:
        if (until := self._banned.get(expression)) is None:
            return
        if until > self._clock():
            raise Failed(Failure.AGENT, "the monitor's expression took too long lately; simplify it")
        del self._banned[expression]

    def _ban(self, expression: str) -> None:
        if len(self._banned) >= BANNED:
            self._banned.pop(next(iter(self._banned)))
        self._banned[expression] = self._clock() + BANNED_S


class _Process:
    """One process that searches. Raises ``OSError`` when it cannot be started."""

    __slots__ = ("_child", "_wire")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._child = subprocess.Popen(
                    (
                        sys.executable,
                        "-I",
                        Path(__file__).with_name("examination.py"),
                        str(SEARCH_S),
                        str(MEMORY_BYTES),
                    ),
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    env={},
                    start_new_session=True,  # a Ctrl-C in the agent's terminal is the agent's to act upon
                )
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        self._wire = Wire(ours, loop)

    async def search(self, kind: bytes, expression: str, body: bytes) -> tuple[bytes, str]:
        """Ask. Raises :class:`Failed` or ``TimeoutError`` when the process is lost."""
        asked = expression.encode()
        async with asyncio.timeout(SEARCH_S + _GRACE_S):
            await self._wire.send(ASKED.pack(kind, len(asked), len(body)) + asked + body)
            data = b""
            while len(data) < ANSWERED.size or len(data) < ANSWERED.size + ANSWERED.unpack_from(data)[1]:
                more = await self._wire.receive()
                if not more:
                    raise Failed(Failure.AGENT, "the search ended itself")
                data += more
        return ANSWERED.unpack_from(data)[0], data[ANSWERED.size :].decode(errors="replace")

    def end(self) -> None:
        """Kill it and wait for it, which takes a millisecond: it has no children and holds nothing."""
        self._wire.close()
        self._child.kill()
        self._child.wait()
