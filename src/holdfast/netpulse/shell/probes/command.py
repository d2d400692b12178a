"""The command check: a program on the agent; exit code 0 is up.

Only for agents that allow it. No shell; a session of its own; an environment that holds nothing of the agent's; its
output read up to a limit. It is waited for by a pidfd and killed with its whole process group *before* it is reaped:
as long as it is not, its number is nobody else's. A process that has made itself a session of its own gets away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
from typing import Final

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.core.settings import CommandCheck
from holdfast.netpulse.shell.probes.finding import Failed, from_os_error, printable, quoted
from holdfast.netpulse.shell.probes.trip import Trip
from holdfast.netpulse.shell.probes.wire import readable

OUTPUT_LIMIT: Final = 4096
"""Bytes of its output that are kept; the rest is read and dropped, so that nobody waits for it."""
REAP_S: Final = 1.0
"""For a killed process to be gone; one that the kernel holds (a dead NFS server) is left to it."""
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_READ_BYTES: Final = 64 * 1024


async def probe_command(check: CommandCheck, trip: Trip) -> None:
    """Raises :class:`Failed` when the program does not end with 0."""
    if not check.argv:
        raise Failed(Failure.AGENT, "the monitor has no program to run")
    trip.doing = "the program to end"
    ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            os.set_blocking(theirs, True)
            # (Not asyncio's: that one reaps at once, and then the group's number may be somebody else's.)
            child = subprocess.Popen(  # noqa: ASYNC220
                check.argv,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                env={"PATH": PATH, "LANG": "C.UTF-8"},
                cwd=tempfile.gettempdir(),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it has a null byte"
            raise Failed(Failure.AGENT, f"the agent cannot run {quoted(check.argv[0])}: {reason}") from None
        finally:
            os.close(theirs)
        output = await _attend(trip, child, ours)
    finally:
        os.close(ours)
    if child.returncode:
        trip.status = child.returncode if child.returncode > 0 else 128 - child.returncode
        said = printable(output.decode(errors="replace").strip(), 120)
        raise Failed(Failure.EXIT, f"exit code {trip.status}{f': {said}' if said else ''}")


async def _attend(trip: Trip, child: subprocess.Popen[bytes], pipe: int) -> bytes:
    """Read the output until the program ends; then, or when the probe does, nothing of it is left."""
    kept = bytearray()
    loop = trip.loop

    def drain() -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(pipe, _READ_BYTES)
            if not data:
                loop.remove_reader(pipe)
            kept.extend(data[: OUTPUT_LIMIT - len(kept)])

    try:
        ended = os.pidfd_open(child.pid)
    except OSError as error:
        _kill(child)
        child.wait()
        raise from_os_error(error) from None
    try:
        loop.add_reader(pipe, drain)
        await readable(loop, ended)
        drain()
        _kill(child)
    except BaseException:
        _kill(child)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REAP_S):
                await readable(loop, ended)
        raise
    finally:
        loop.remove_reader(pipe)
        os.close(ended)
        child.poll()
    return bytes(kept)


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
