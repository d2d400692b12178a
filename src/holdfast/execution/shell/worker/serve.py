"""The way in: run a worker in this process."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Final, Protocol

from holdfast.execution.core.job import Verdict
from holdfast.execution.core.protocol import WireFile, WireJob, WireLimits
from holdfast.execution.core.settings import ExecutionSettings, WorkerSettings
from holdfast.execution.core.task import Sandboxes
from holdfast.execution.shell.languages import Installed, detect, load_profiles, offered
from holdfast.execution.shell.worker.cache import Cache
from holdfast.execution.shell.worker.claims import Claim, GiveBack, Runner
from holdfast.execution.shell.worker.errors import WorkerError
from holdfast.execution.shell.worker.link import Link
from holdfast.execution.shell.worker.worker import Worker

log = logging.getLogger(__name__)

KEY: Final = "HOLDFAST_WORKER_KEY"
"""Environment variable with the worker's API key, for those who keep it out of the file."""
CHECK_S: Final = 30.0
"""How long the self-check may take; it takes milliseconds, unless no sandbox can be made."""


class OpenSandboxes(Protocol):
    """Makes sandboxes for ``slots`` jobs at a time; they are gone when the context ends.

    Raises :class:`~holdfast.kernel.HoldfastError` where the tier that the settings ask for cannot be had.
    """

    def __call__(self, settings: WorkerSettings, *, slots: int) -> AbstractAsyncContextManager[Sandboxes]:
        """As the class says."""
        ...


_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_CHECKS: Final = {
    "python": b"print('ready')",
    "bash": b"echo ready",
    "perl": b'print "ready\\n";',
    "ruby": b"puts 'ready'",
    "javascript": b"console.log('ready')",
}
_CHECK_LIMITS: Final = WireLimits(wall_s=10.0, cpu_s=5.0, memory_bytes=256 * 2**20, output_bytes=4096, processes=32)


async def serve(
    settings: ExecutionSettings,
    *,
    ready: Callable[[Mapping[str, str]], None],
    open_sandboxes: OpenSandboxes,
) -> int:
    """Run until SIGTERM or SIGINT; the exit code, 0.

    Before the first job is claimed the languages are looked for, sandboxes are made, and a small program has run in
    one; then ``ready`` is called. On a signal no more jobs are claimed, running ones may finish for
    ``worker.drain_timeout`` and are given back after it; a second signal gives them back at once.

    Raises :class:`WorkerError` where this machine or the settings do not allow for a worker, and what
    ``open_sandboxes`` raises.
    """
    wanted = settings.worker
    key = os.environ.pop(KEY, None)  # gone before anything is started that could inherit it
    key = wanted.api_key or key
    if not key:
        raise WorkerError(
            f"execution.worker.api_key is missing; make one with `holdfast key create --role worker`, or set {KEY}"
        )
    installed = offered(await detect(load_profiles(wanted.profiles)))
    if not installed:
        raise WorkerError("no language can be run here; `holdfast exec runtimes` says what to install")
    slots = wanted.slots or max(8, 4 * len(os.sched_getaffinity(0)))
    cache = Cache(wanted.cache, wanted.cache_size)
    async with open_sandboxes(wanted, slots=slots) as sandboxes:
        runner = Runner(sandboxes, installed, cache, utc=time.time)
        await self_check(runner, installed)
        loop = asyncio.get_running_loop()
        link = Link(wanted.api or f"http://{settings.listen}", key)
        try:
            worker = Worker(
                link,
                runner,
                name=wanted.name or f"{platform.node()}-{os.getpid()}",
                epoch=secrets.token_hex(8),
                slots=slots,
                languages={language: one.version for language, one in installed.items()},
                tier=wanted.tier,
                renew_s=settings.lease.renew,
                drain_s=wanted.drain_timeout,
                rng=Random(),
                utc=time.time,
            )
            for number in _STOPS:
                loop.add_signal_handler(number, worker.stop)
            log.info(
                "worker is ready",
                extra={"action": "worker_ready", "slots": slots, "tier": wanted.tier, "languages": sorted(installed)},
            )
            ready({})
            return await worker.run()
        finally:
            for number in _STOPS:
                loop.remove_signal_handler(number)
            await link.close()


async def self_check(runner: Runner, installed: Mapping[str, Installed]) -> None:
    """Run a small program in a sandbox. Raises :class:`WorkerError` when that does not work."""
    language = next((name for name in _CHECKS if name in installed), None)
    if language is None:
        log.warning("no language to check the sandbox with", extra={"action": "self_check_skipped"})
        return
    file = installed[language].profile.file
    job = WireJob(
        id="self-check",
        tenant="",
        token=0,
        attempt=1,
        language=language,
        files=(WireFile(path=file, data=_CHECKS[language]),),
        entry=file,
        limits=_CHECK_LIMITS,
        compile_limits=_CHECK_LIMITS,
    )
    try:
        async with asyncio.timeout(CHECK_S):
            result = await runner.run(Claim(job), None)
    except TimeoutError as error:
        raise WorkerError(
            f"no sandbox ran a program within {CHECK_S:g} s; `holdfast doctor` says what is missing"
        ) from error
    except GiveBack as back:
        raise WorkerError(
            f"a sandbox cannot run a program: {back.reason}; `holdfast doctor` says what is missing"
        ) from back
    if result.verdict is not Verdict.OK or result.stdout != b"ready\n":
        said = (result.stderr or result.stdout)[:200].decode("utf-8", "replace")
        raise WorkerError(
            f"a program in a sandbox came to {result.verdict} and said {said!r}; `holdfast doctor` says what is missing"
        )
