"""What the endpoints share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, Protocol

from holdfast.execution.core.job import NewJob
from holdfast.execution.core.ports import Accepted, Queue, QueueState, Refused
from holdfast.execution.core.scaling import ScalingState, Signal, scale
from holdfast.execution.core.settings import ExecutionSettings
from holdfast.execution.shell.api.batcher import Batcher
from holdfast.execution.shell.api.bodies import Prices
from holdfast.execution.shell.api.ids import JobIds
from holdfast.execution.shell.api.languages import Language
from holdfast.execution.shell.api.metrics import Metrics
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.execution.shell.api.rates import Rates
from holdfast.execution.shell.api.requests import SubmissionBody
from holdfast.execution.shell.api.submission import Intake
from holdfast.identity import Principal, Scope
from holdfast.web import trail
from holdfast.web.watching import Held

STATE_AGE_S: Final = 0.5
_REFUSALS: Final[Mapping[str, str]] = {
    "tenant_backlog": "tenant-backlog",
    "total_backlog": "total-backlog",
    "daily_cpu": "daily-quota",
    "submit_rate": "submit-rate",
    "storage": "storage-short",
    "idempotency_conflict": "idempotency-conflict",
}


class DeadCall(Protocol):
    """A callback that was given up."""

    @property
    def job(self) -> str:
        """The job that it tells of."""
        ...

    @property
    def url(self) -> str:
        """Where to."""
        ...

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        ...

    @property
    def error(self) -> str:
        """What happened the last time."""
        ...


class Outbox(Protocol):
    """What is needed of the callbacks that wait."""

    async def dead_letters(self, tenant: str, *, limit: int, before: str | None = None) -> Sequence[DeadCall]:
        """Calls that were given up, newest job first."""
        ...

    async def replay(self, tenant: str, *, jobs: Sequence[str] | None, now: float) -> int:
        """Make those of ``jobs``, or all, due again; how many."""
        ...


class Identities(trail.Trail, Protocol):
    """What is needed of the identity room."""

    async def authenticate(self, text: str, *, now: float) -> Principal | None:
        """Whom a key speaks for. Raises ``StoreUnavailable``."""
        ...

    async def audit_entries(
        self, tenant: str, *, limit: int, before: int | None = None, action: str | None = None
    ) -> list[Any]:
        """Newest first."""
        ...

    async def callback_secrets(self, tenant: str, *, now: float) -> list[Any]:
        """What callbacks are signed with, newest first."""
        ...

    async def rotate_callback_secret(self, tenant: str, *, overlap_s: float, now: float, actor: str) -> list[Any]:
        """Put a fresh secret in force; those that are good then."""
        ...


class Service:
    """The queue and everything around it that an endpoint needs."""

    def __init__(
        self,
        settings: ExecutionSettings,
        *,
        queue: Queue,
        identities: Identities,
        outbox: Outbox,
        languages: Mapping[str, Language],
        clock: Callable[[], float],
        rng: Random,
    ) -> None:
        """``clock`` gives seconds since the epoch."""
        loop = asyncio.get_running_loop()
        self.settings = settings
        self.queue = queue
        self.identities = identities
        self.outbox = outbox
        self.languages = languages
        self.clock = clock
        self.rates = Rates(settings.admission, monotonic=loop.time, rng=rng)
        self.prices = Prices(settings.cost_per_cpu_hour, settings.currency)
        self.intake = Intake(settings, languages)
        self.ids = JobIds(os.urandom)
        self.metrics = Metrics()
        self.batcher = Batcher(queue, clock=clock, on_group=self.metrics.group)
        self.live: dict[str, str] = {}
        """Language -> version, of the workers that are there; read anew every second."""
        self.held = Held()
        self.metrics.follow_held(lambda: self.held.total)
        self.stopping: asyncio.Future[None] = loop.create_future()
        """Done when the process is about to end: whatever is held open ends now."""

        self._scaling: ScalingState | None = None
        self.job_ended: Callable[[], None] = lambda: None
        """Called when a job may have ended: somebody may be waiting to be called back."""
        self._state: tuple[float, QueueState] | None = None
        self._reading = asyncio.Lock()

    async def state(self) -> QueueState:
        """The queue in figures, at most half a second old: many may ask, one asks the store."""
        async with self._reading:
            now = self.clock()
            if self._state is None or not 0.0 <= now - self._state[0] < STATE_AGE_S:
                self._state = now, await self.queue.state(now=now)
            return self._state[1]

    def scale(self, state: QueueState) -> Signal:
        """How many workers there should be, for the queue as it is now."""
        # The queue knows jobs and workers, not which has which: at most this many are busy, and none of them may go.
        busy = min(state.running, state.workers)
        self._scaling, signal = scale(
            self._scaling, state, busy_workers=busy, now=self.clock(), settings=self.settings.scaling
        )
        return signal

    def stop(self) -> None:
        """End what is held open."""
        if not self.stopping.done():
            self.stopping.set_result(None)

    def new_job(self, body: SubmissionBody, principal: Principal, *, key: str | None, at: str = "") -> NewJob:
        """The job that a submission asks for. Raises :class:`ProblemError`."""
        now = self.clock()
        return self.intake.job(body, id=self.ids.new(now), principal=principal, live=self.live, key=key, now=now, at=at)

    async def accept_together(self, jobs: Sequence[NewJob]) -> list[Accepted]:
        """Queue jobs of one tenant, all or none. Raises as :meth:`accept`."""
        self.metrics.group(len(jobs))
        accepted: list[Accepted] = []
        for outcome in await self.queue.submit(jobs, now=self.clock(), together=True):
            if isinstance(outcome, Refused):
                self.metrics.submitted(outcome.reason, len(jobs))
                raise refusal(outcome)
            accepted.append(outcome)
        repeated = sum(outcome.repeated for outcome in accepted)
        self.metrics.submitted("repeated", repeated)
        self.metrics.submitted("accepted", len(accepted) - repeated)
        return accepted

    async def accept(self, job: NewJob) -> Accepted:
        """Queue a job. Raises :class:`ProblemError` when it is refused, ``StoreUnavailable``."""
        outcome = await self.batcher.submit(job)
        if isinstance(outcome, Refused):
            self.metrics.submitted(outcome.reason)
            raise refusal(outcome)
        self.metrics.submitted("repeated" if outcome.repeated else "accepted")
        return outcome

    async def note(
        self, principal: Principal, action: str, target: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write down what was done."""
        await trail.write_down(self.identities, principal, action, target, detail, now=self.clock())


def backlog_s(state: QueueState) -> float:
    """Time that all queued work takes at the rate at which the queue drains; 0 when that is not known."""
    return state.backlog_us / state.drain_us_per_s if state.drain_us_per_s > 0 else 0.0


def require(principal: Principal, scope: Scope) -> None:
    """Raise :class:`ProblemError` unless the key carries the scope."""
    if scope not in principal.scopes:
        raise ProblemError("forbidden", f"this key lacks the scope {scope.value!r}; use one that has it")


def refusal(outcome: Refused) -> ProblemError:
    """The problem that a refusal of the queue is answered with."""
    return ProblemError(_REFUSALS[outcome.reason], outcome.detail, retry_after_s=outcome.retry_after_s)
