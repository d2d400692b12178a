"""One claimed job from start to end in a sandbox of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from holdfast.execution.core import verdict
from holdfast.execution.core.job import Result, Verdict
from holdfast.execution.shell.languages import plan
from holdfast.execution.shell.worker.outcome import was_killed
from holdfast.kernel import HoldfastError

if TYPE_CHECKING:
    from holdfast.execution.core.protocol import WireJob
    from holdfast.execution.core.task import OnOutput, Sandbox, Sandboxes
    from holdfast.execution.shell.languages import Installed
    from holdfast.execution.shell.worker.cache import Cache

Stop: TypeAlias = Literal["cancelled", "expired", "lost", "shutdown"]
"""Why a job is killed. The first reason counts, except that a lost lease overrules all."""

_STOPPED: Final[Mapping[Stop | None, Result]] = {
    "cancelled": Result(verdict=Verdict.CANCELLED, message="cancelled"),
    "expired": Result(verdict=Verdict.EXPIRED, message="its deadline passed while it ran"),
}
"""What a job comes to when it was killed for a reason that ends it, and not only our holding it."""


class Claim:
    """A job that this worker holds, and the means to stop it."""

    def __init__(self, job: WireJob) -> None:
        self.job = job
        self.key = (job.id, job.token)
        self.stopped: Stop | None = None
        self.over = False
        """Nothing of it runs any more; its slot waits for the receipt."""
        self._sandbox: Sandbox | None = None

    def stop(self, why: Stop) -> None:
        """Kill what runs, now or as soon as it would start."""
        if self.over:
            return
        if self.stopped is None or why == "lost":
            self.stopped = why
        if self._sandbox is not None:
            self._sandbox.kill()

    def runs_in(self, sandbox: Sandbox) -> None:
        """From here on :meth:`stop` reaches it."""
        self._sandbox = sandbox
        if self.stopped is not None:
            sandbox.kill()


class GiveBack(Exception):
    """The job was not brought to an end, through no fault of its own."""

    def __init__(self, reason: str, *, counts: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.counts = reason, counts


class Runner:
    """Runs claims: the plan for the language, the cache of compiled programs, a sandbox."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        installed: Mapping[str, Installed],
        cache: Cache | None,
        *,
        utc: Callable[[], float],
    ) -> None:
        """``utc`` gives seconds since the epoch, for deadlines; without a ``cache`` everything is compiled."""
        self._sandboxes = sandboxes
        self._installed = installed
        self._cache = cache
        self._utc = utc

    async def run(self, claim: Claim, on_output: OnOutput | None) -> Result:
        """The result. Raises :class:`GiveBack` when there is none. In either case nothing of the job is left."""
        job = claim.job
        if job.deadline is not None and job.deadline <= self._utc():
            return Result(verdict=Verdict.EXPIRED, message="its deadline had passed when it was to start")
        installed = self._installed.get(job.language)
        if installed is None:
            raise GiveBack(f"this worker does not offer {job.language}")
        planned = plan(job, installed)
        task, key, artifacts = planned.task, None, None
        if task.compile is not None and self._cache is not None:
            key = self._cache.key(job.tenant, job.language, planned.version, task)
            artifacts = await self._cache.get(key)
            if artifacts is not None:
                task = planned.warm(artifacts)
        try:
            sandbox = await self._sandboxes.take()
        except (HoldfastError, TimeoutError) as error:
            raise GiveBack(f"no sandbox could be had: {str(error) or 'none was ready in time'}") from error
        claim.runs_in(sandbox)
        outcome = await sandbox.run(task, on_output)
        result = verdict.result(outcome, cached=artifacts is not None)
        if was_killed(outcome):
            if claim.stopped not in _STOPPED:
                raise GiveBack("the worker was shut down while it ran", counts=False)
            stopped = _STOPPED[claim.stopped]
            return replace(result, verdict=stopped.verdict, message=stopped.message)
        if result.verdict is Verdict.INTERNAL_ERROR:
            raise GiveBack(result.message)
        if key is not None and artifacts is None and outcome.kept and self._cache is not None:
            await self._cache.put(key, outcome.kept)
        return result
