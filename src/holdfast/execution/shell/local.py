"""One program in one sandbox, without a queue: for a command line with no service behind it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from holdfast.execution.core.protocol import WireFile, WireJob, WireLimits
from holdfast.execution.core.settings import ExecutionSettings
from holdfast.execution.shell.languages import detect, load_profiles, offered
from holdfast.execution.shell.worker.claims import Claim, GiveBack, Runner
from holdfast.kernel import HoldfastError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from holdfast.execution.core.job import Result
    from holdfast.execution.core.settings import LimitSettings, WorkerSettings
    from holdfast.execution.core.task import OnOutput
    from holdfast.execution.shell.languages import LanguageDefaults
    from holdfast.execution.shell.worker import OpenSandboxes

MAX_SOURCE_BYTES: Final = 16 * 2**20
"""Largest source that is read."""
GRACE_S: Final = 30.0
"""Added to the time that compiling and running may take: making the sandbox, and its end."""


class LocalError(HoldfastError):
    """The program could not be run; the text says why and what to do."""


async def run_local(
    file: Path,
    language: str,
    *,
    stdin: bytes = b"",
    args: Sequence[str] = (),
    wall_s: float | None = None,
    open_sandboxes: OpenSandboxes,
    on_output: OnOutput | None = None,
    worker: WorkerSettings | None = None,
) -> Result:
    """Open one sandbox, run ``file`` in it, close it.

    Args:
        file: The source; only this one.
        language: Name of a known language.
        stdin: The program's input.
        args: Its arguments.
        wall_s: Most seconds that it may run, and use of CPU time; the usual limits when absent.
        open_sandboxes: Makes the sandbox.
        on_output: Gets the program's output as it comes.
        worker: Settings of the sandbox.

    Raises:
        LocalError: The language is not here, or no sandbox could run it.
        ProfileError: ``worker.profiles`` cannot be used.
    """
    settings = ExecutionSettings() if worker is None else ExecutionSettings(worker=worker)
    profile = load_profiles(settings.worker.profiles)[language]
    (runtime,) = await detect({language: profile})
    if not runtime.available:
        raise LocalError(f"{runtime.title} cannot be run here: {runtime.missing_reason}; {runtime.remedy}")
    job = WireJob(
        id=file.name,
        tenant="local",
        token=1,
        attempt=1,
        language=language,
        files=(WireFile(path=file.name, data=_read(file)),),
        entry=file.name,
        limits=_limits(settings.limits, profile.limits, wall_s),
        compile_limits=_limits(settings.compile_limits, None, None),
        stdin=stdin,
        args=tuple(args),
    )
    deadline_s = job.limits.wall_s + job.compile_limits.wall_s + GRACE_S
    try:
        async with open_sandboxes(settings.worker, slots=1) as sandboxes, asyncio.timeout(deadline_s):
            return await Runner(sandboxes, offered([runtime]), None, utc=time.time).run(Claim(job), on_output)
    except GiveBack as back:
        raise LocalError(f"the sandbox failed: {back.reason}; `holdfast doctor` says what this machine lacks") from back
    except TimeoutError as error:
        raise LocalError(f"no answer from the sandbox within {deadline_s:g} s; `holdfast doctor` says why") from error


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            data = source.read(MAX_SOURCE_BYTES + 1)
    except OSError as error:
        raise LocalError(f"{file}: {error.strerror}; give a file that can be read") from error
    if len(data) > MAX_SOURCE_BYTES:
        raise LocalError(f"{file}: more than {MAX_SOURCE_BYTES} bytes; give a shorter program")
    return data


def _limits(general: LimitSettings, own: LanguageDefaults | None, wall_s: float | None) -> WireLimits:
    """``own`` goes before ``general``, and what was asked for before both."""
    wall = general.wall if own is None or own.wall is None else own.wall
    cpu = general.cpu if own is None or own.cpu is None else own.cpu
    memory = general.memory if own is None or own.memory is None else own.memory
    return WireLimits(  # plain numbers, as from the wire: a Size prints as 256MiB, which no kernel reads
        wall_s=float(wall if wall_s is None else wall_s),
        cpu_s=float(cpu if wall_s is None else wall_s),
        memory_bytes=int(memory),
        output_bytes=int(general.output),
        processes=general.processes if own is None or own.processes is None else own.processes,
    )
