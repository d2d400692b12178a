"""The processes of the code runner, each behind one function that imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from holdfast.execution.core.settings import ExecutionSettings, WorkerSettings
from holdfast.store import StoreSettings

if TYPE_CHECKING:
    from holdfast.execution.shell.languages import Runtime
    from holdfast.execution.shell.sandbox.tier import Examination

Ready = Callable[[Mapping[str, str]], None]
"""Called once, with addresses by what they are."""


async def serve_api(
    settings: ExecutionSettings, store: StoreSettings, *, worker_key: str | None = None, ready: Ready
) -> int:
    """Run the API and the queue until SIGTERM; the exit code. ``worker_key`` is one more key that workers may use."""
    from holdfast.execution.shell.api.serve import serve

    return await serve(settings, store, worker_key=worker_key, ready=ready)


async def serve_worker(settings: ExecutionSettings, *, ready: Ready) -> int:
    """Run a worker until SIGTERM; the exit code. Raises :class:`~holdfast.kernel.HoldfastError` where none can run."""
    from holdfast.execution.shell.sandbox import open_sandboxes
    from holdfast.execution.shell.worker.serve import serve

    return await serve(settings, ready=ready, open_sandboxes=open_sandboxes)


async def examine_sandbox(settings: WorkerSettings | None = None) -> Examination:
    """Find out what sandboxes this machine can make, by making one."""
    from holdfast.execution.shell.sandbox.tier import examine

    return await examine(settings or WorkerSettings())


async def examine_languages(settings: WorkerSettings | None = None) -> list[Runtime]:
    """Look for every language; those that sandboxes can run here, and what the others would take."""
    from holdfast.execution.shell.languages import detect, load_profiles

    return await detect(load_profiles((settings or WorkerSettings()).profiles))
