"""One running service process, and what it says on standard error."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from holdfast.app import readiness

Sink: TypeAlias = Callable[[bytes], None]
"""Takes what children write to standard error, as it comes. Called from threads."""

_TETHER: Final = Path(__file__).with_name("tether.py")
_TAIL_LINES: Final = 5
_TAIL_LINE_BYTES: Final = 300
_CHUNK_BYTES: Final = 64 * 1024
_REAP_S: Final = 5.0
"""After SIGKILL the kernel needs milliseconds, unless the process hangs in a system call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A program to keep running."""

    name: str
    about: str
    """What it is, in a few words, for the start-up table."""
    argv: tuple[str, ...]
    drain_s: float = 30.0
    """How long it may take to stop in order."""
    environ: Mapping[str, str] = field(default_factory=dict)
    rest_s: float = 0.0
    """Least wait before it is started again after it ended unasked."""


def describe(status: int) -> str:
    """``exit status 3`` or ``killed by SIGSEGV``, from a return code as :mod:`subprocess` gives it."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


class Child:
    """A started service. Owns the process, the readiness pipe and the reader of standard error."""

    def __init__(self, service: Service, process: asyncio.subprocess.Process, ready_fd: int, tee: _Tee) -> None:
        self.service = service
        self.exit: asyncio.Task[int] = asyncio.create_task(process.wait(), name=f"{service.name} exits")
        self._process = process
        self._ready_fd: int | None = ready_fd
        self._tee = tee

    @classmethod
    async def start(cls, service: Service, sink: Sink) -> Child:
        """Start it in a session of its own, so that Ctrl-C on the terminal reaches only us.

        It gets SIGTERM when this process dies, whatever kills it.
        """
        ready_read, ready_write = os.pipe()
        error_read, error_write = os.pipe()
        try:
            environ = {**os.environ, **service.environ, readiness.READY_FD: str(ready_write)}
            environ.pop(readiness.NOTIFY_SOCKET, None)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_TETHER), str(os.getpid())),
                *service.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stderr=error_write,
                pass_fds=(ready_write,),
                env=environ,
                start_new_session=True,
            )
        except BaseException:
            os.close(ready_read)
            os.close(error_read)
            raise
        finally:
            os.close(ready_write)
            os.close(error_write)
        return cls(service, process, ready_read, _Tee(error_read, sink, service.name))

    @property
    def pid(self) -> int:
        """Process id, also of its group."""
        return self._process.pid

    async def ready(self) -> dict[str, str] | None:
        """Its addresses once it is ready; ``None`` if it closed the pipe without a word."""
        descriptor, self._ready_fd = self._ready_fd, None
        if descriptor is None:
            return None
        reader = asyncio.StreamReader(limit=readiness.MAX_LINE_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
        )
        try:
            return readiness.decode(await reader.readline())
        except ValueError:  # a line beyond the limit
            return None
        finally:
            transport.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process; nothing happens when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the process and all in its group (a balancer has workers)."""
        if self._process.returncode is None and not self.exit.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def close(self) -> None:
        """End it if it still runs, reap it, and let the last words through."""
        if not self.exit.done():
            self.kill()
            await asyncio.wait({self.exit}, timeout=_REAP_S)
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None
        await asyncio.to_thread(self._tee.join)

    def last_words(self) -> list[str]:
        """The last lines of standard error."""
        return self._tee.tail()


class _Tee:
    """Passes standard error on and remembers its end.

    In a thread, so that a terminal on hold or a slow log collector blocks neither the
    supervisor nor its signals; the child is blocked as if it wrote there itself.
    """

    def __init__(self, descriptor: int, sink: Sink, name: str) -> None:
        self._sink = sink
        self._lines: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._pump, args=(descriptor,), name=f"stderr of {name}", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end of the stream; not for long, as an orphan may hold it open."""
        self._thread.join(timeout=0.5)

    def tail(self) -> list[str]:
        with self._lock:
            lines = [line.decode("utf-8", "replace").rstrip() for line in self._lines]
        return ["".join(c if c.isprintable() else " " for c in line) for line in lines if line]

    def _pump(self, descriptor: int) -> None:
        # Whole lines only, so that the lines of two children never mix; a line beyond the bound goes out in pieces.
        held = b""
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                held += chunk
                end = held.rfind(b"\n") + 1 or (len(held) if len(held) >= _CHUNK_BYTES else 0)
                self._pass_on(held[:end])
                held = held[end:]
        self._pass_on(held)

    def _pass_on(self, data: bytes) -> None:
        if not data:
            return
        with self._lock:
            self._lines.extend(line[:_TAIL_LINE_BYTES] for line in data[-_CHUNK_BYTES:].split(b"\n") if line)
        with contextlib.suppress(OSError, ValueError):  # nobody reads our own standard error any more
            self._sink(data)
