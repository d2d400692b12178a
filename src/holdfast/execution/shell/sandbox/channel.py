"""The worker's end of a launcher: start it, talk to it, end it.

Everything that comes from inside is read as if a job had written it: bounded, and refused if it is not what
:mod:`.launcher` says it sends.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import marshal
import os
import resource
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.execution.shell.sandbox import root
from holdfast.execution.shell.sandbox.errors import SlotBroken

_MARSHAL: Final = 2
"""A version that every Python 3 reads: the sandbox's need not be ours."""
_DATAGRAM: Final = 4096
_DESCRIPTORS: Final = 4
_BACKLOG: Final = 16
"""Messages that nobody asked for yet; an orderly launcher has two at most."""
_COMPLAINT_BYTES: Final = 4096
_REAP_S: Final = 5.0
_OPEN_FILES: Final = 1024
_STACK_BYTES: Final = 64 * 2**20
"""More than the usual 8 MiB: recursion is what beginners write, and memory has a limit of its own."""
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_CLONE_FLAGS: Final = 0x00020000 | 0x08000000 | 0x20000000
"""CLONE_NEWNS, NEWIPC, NEWPID. The cgroup namespace is made after joining; user, network and UTS are the slot's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What all launchers of a worker are made from."""

    bubblewrap: str
    python: str
    filter: bytes
    """The system call filter, ``struct sock_filter[]``."""
    size_bytes: int
    files: int
    environment: Mapping[str, str]
    """What every program has at least; the launcher has it, too, so that little changes."""
    readable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A datagram from inside."""

    kind: str
    text: str = ""
    descriptors: tuple[int, ...] = field(default=())


class Launcher:
    """A running launcher. Made by :meth:`start`."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, complaints: int, where: str) -> None:
        self._process = process
        self._control = control
        self._complaints = complaints
        self._complaint = bytearray()
        self._where = where
        self._messages: deque[Message] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control, self._readable)
        self._loop.add_reader(complaints, self._complained)

    @classmethod
    def start(
        cls, recipe: Recipe, *, uid: int, gid: int, joins: Sequence[int], stays: Sequence[int], where: str
    ) -> Launcher:
        """Start bubblewrap as the slot's user. Raises :class:`SlotBroken`.

        It enters the control groups ``joins`` and leaves them for ``stays``, see :mod:`.launcher`.

        The environment is empty from the first instruction on: nothing of ours can be read in its ``/proc``.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        complaints, complain = os.pipe()
        given = [theirs.fileno(), *joins, *stays]
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, complain)
            stack.callback(theirs.close)

            def content(name: str, data: bytes) -> int:
                descriptor = memory_file(name, data)
                stack.callback(os.close, descriptor)
                given.append(descriptor)
                return descriptor

            words = root.bubblewrap(
                recipe.bubblewrap,
                uid=uid,
                gid=gid,
                environment=recipe.environment,
                files={path: content(path, data) for path, data in root.contents(uid, gid).items()},
                readable=recipe.readable,
            )
            plan = {
                "clone": _CLONE_FLAGS,
                "filter": recipe.filter,
                "mounts": root.mounts(size_bytes=recipe.size_bytes, files=recipe.files),
                "rlimits": [
                    (resource.RLIMIT_CORE, 0, 0),
                    (resource.RLIMIT_FSIZE, recipe.size_bytes, recipe.size_bytes),
                    (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
                    (resource.RLIMIT_STACK, _STACK_BYTES, _STACK_BYTES),
                ],
            }
            words += [recipe.python, "-I", "-B", root.INSIDE, str(theirs.fileno())]
            words += [str(content("plan", marshal.dumps(plan, _MARSHAL))), *map(str, joins), "-", *map(str, stays)]
            other = uid != os.getuid()
            try:
                process = subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=complain,
                    pass_fds=given,
                    env={},
                    cwd="/",
                    user=uid if other else None,
                    group=gid if other else None,
                    extra_groups=[] if other else None,
                )
            except OSError as error:
                ours.close()
                os.close(complaints)
                remedy = "see `holdfast doctor`"
                raise SlotBroken(f"cannot start bubblewrap: {error}", where=where, remedy=remedy) from error
        ours.setblocking(False)
        os.set_blocking(complaints, False)
        return cls(process, ours, complaints, where)

    @property
    def pid(self) -> int:
        """The process id of bubblewrap."""
        return self._process.pid

    @property
    def silent(self) -> bool:
        """Whether it is there and has said nothing that was not received."""
        return not self._ended and not self._messages

    def send(self, kind: bytes, body: dict[str, Any] | None = None, descriptors: Sequence[int] = ()) -> None:
        """Send a message; the body goes as a memory file, so no datagram is too large. Never blocks."""
        carried = list(descriptors)
        content = memory_file("body", marshal.dumps(body, _MARSHAL)) if body is not None else None
        try:
            if content is not None:
                carried.insert(0, content)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", carried))] if carried else []
            self._control.sendmsg([kind], ancillary)
        except OSError as error:
            raise self._broken(f"does not take messages: {error}") from error
        finally:
            if content is not None:
                os.close(content)

    async def receive(self, timeout_s: float | None) -> Message:
        """The next message. Raises :class:`SlotBroken` at the end of the conversation, or when it takes too long."""
        while not self._messages:
            if self._ended:
                raise self._broken("ended")
            self._waiter = self._loop.create_future()
            handle = self._loop.call_later(timeout_s, self._wake) if timeout_s is not None else None
            try:
                await self._waiter
            finally:
                self._waiter = None
                if handle is not None:
                    handle.cancel()
            if not self._messages and not self._ended:
                raise self._broken(f"said nothing for {timeout_s:g} s")
        return self._messages.popleft()

    def kill(self) -> None:
        """End it and whatever runs inside."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    async def close(self) -> None:
        """End it, wait until nothing of it is left, reap. To be called again if it was cancelled."""
        self.kill()
        deadline = self._loop.time() + _REAP_S
        # bubblewrap's process 1 is killed when bubblewrap dies; the end of the conversation shows that all are gone.
        while not self._ended and self._loop.time() < deadline:
            with contextlib.suppress(SlotBroken):
                close_all((await self.receive(deadline - self._loop.time())).descriptors)
        while self._messages:
            close_all(self._messages.popleft().descriptors)
        if self._control.fileno() >= 0:
            self._loop.remove_reader(self._control)
            self._control.close()
        self._hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel; it has been killed
            await asyncio.to_thread(self._process.wait, _REAP_S)

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._control.recvmsg(
                _DATAGRAM, socket.CMSG_SPACE(4 * _DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, ancillary = b"", []
        descriptors = array.array("i")
        for level, type, payload in ancillary:
            if level == socket.SOL_SOCKET and type == socket.SCM_RIGHTS:
                descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
        if not data or len(self._messages) >= _BACKLOG:
            self._ended = True
            self._loop.remove_reader(self._control)
            close_all(descriptors)
        else:
            kind, _, text = data.decode("utf-8", "replace").partition(" ")
            self._messages.append(Message(kind, text, tuple(descriptors)))
        self._wake()

    def _complained(self) -> None:
        try:
            data = os.read(self._complaints, _COMPLAINT_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            self._hang_up()
        self._complaint += data
        del self._complaint[:-_COMPLAINT_BYTES]

    def _hang_up(self) -> None:
        if self._complaints >= 0:
            self._loop.remove_reader(self._complaints)
            os.close(self._complaints)
            self._complaints = -1

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _broken(self, what: str) -> SlotBroken:
        said = self._complaint.decode("utf-8", "replace").strip()
        return SlotBroken(
            f"the launcher {what}" + (f": {said}" if said else ""),
            where=self._where,
            remedy="see `holdfast doctor` for what this machine lacks",
        )


def memory_file(name: str, data: bytes) -> int:
    """A descriptor of a file in memory, at its start, that nobody can change."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor


def close_all(descriptors: Sequence[int]) -> None:
    """Close them."""
    for descriptor in descriptors:
        os.close(descriptor)
