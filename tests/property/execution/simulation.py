"""A queue and its slots in virtual time, around the scheduler that is tested."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count, islice

from holdfast.execution.core.estimate import Estimate, expect, learn
from holdfast.execution.core.job import Priority
from holdfast.execution.core.scheduler import Candidate, TenantQueue, order, schedule, settle
from holdfast.execution.core.settings import FairnessSettings

LIMIT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is submitted."""

    tenant: str
    at: float
    cost_s: float
    heavy: bool = False
    estimate_s: float | None = None
    """``cost_s`` unless given."""
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, kw_only=True)
class Run:
    """What became of it."""

    job: Job
    started: float

    @property
    def wait_s(self) -> float:
        return self.started - self.job.at


@dataclass
class _Tenant:
    name: str
    weight: float
    light: deque[tuple[Candidate, Job]] = field(default_factory=deque)
    heavy: deque[tuple[Candidate, Job]] = field(default_factory=deque)
    known: Estimate | None = None
    deficit_us: int = 0
    turn: int = 0
    running: int = 0
    fresh: bool = False
    idle_s: float = 0.0
    idle_since: float = 0.0


class Simulation:
    """Slots that are filled by :func:`schedule` whenever something has changed.

    With ``startup_s`` a slot is taken that long before a job's first instruction. With ``learning`` estimates and
    classes come from what ended so far, and what is queued is judged again when the answer changes.
    """

    def __init__(
        self,
        slots: int,
        settings: FairnessSettings,
        *,
        weights: dict[str, float] | None = None,
        startup_s: float = 0.0,
        learning: bool = False,
    ) -> None:
        self.slots, self.free, self.settings = slots, slots, settings
        self.startup_s, self.learning = startup_s, learning
        self.weights = weights or {}
        self.tenants: dict[str, _Tenant] = {}
        self.turn = 0
        self.now = 0.0
        self.running_heavy = 0
        self.most_heavy = 0
        self.runs: list[Run] = []
        self.idle_slots = False
        """Whether a slot that anybody may have ever stayed free while there was a light job."""

    def run(self, jobs: Iterable[Job], *, until: float = float("inf")) -> list[Run]:
        """Every start up to ``until``, in order."""
        numbers = count()
        events: list[tuple[float, int, Job | tuple[_Tenant, Candidate, Job, bool]]]
        events = [(job.at, next(numbers), job) for job in jobs]
        heapq.heapify(events)
        while events and events[0][0] <= until:
            self.now = events[0][0]
            while events and events[0][0] == self.now:
                _, _, event = heapq.heappop(events)
                if isinstance(event, Job):
                    self._submit(event)
                else:
                    self._end(*event)
            for tenant, candidate, job, heavy in self._decide():
                self.runs.append(Run(job=job, started=self.now + self.startup_s))
                end = self.now + self.startup_s + job.cost_s
                heapq.heappush(events, (end, next(numbers), (tenant, candidate, job, heavy)))
        return self.runs

    def _submit(self, job: Job) -> None:
        tenant = self.tenants.setdefault(job.tenant, _Tenant(job.tenant, self.weights.get(job.tenant, 1.0)))
        if not (tenant.light or tenant.heavy or tenant.running):
            tenant.fresh, tenant.idle_s = True, self.now - tenant.idle_since
        estimate_s, heavy = job.estimate_s if job.estimate_s is not None else job.cost_s, job.heavy
        if self.learning:
            expected = expect(tenant.known, None, cpu_limit_s=LIMIT_S, compiled=False, settings=self.settings)
            estimate_s, heavy = expected.cost_us / 1e6, expected.heavy
        number = len(self.runs) + sum(len(other.light) + len(other.heavy) for other in self.tenants.values())
        place = order(job.at, job.priority, self.settings.ageing)
        candidate = Candidate(id=f"{job.tenant}{number}", cost_us=max(1, round(estimate_s * 1e6)), order=place)
        lane = tenant.heavy if heavy else tenant.light
        lane.append((candidate, job))
        if job.priority is not Priority.NORMAL or (len(lane) > 1 and lane[-2][0].order > place):
            ordered = sorted(lane, key=lambda entry: entry[0].order)
            lane.clear()
            lane.extend(ordered)

    def _end(self, tenant: _Tenant, candidate: Candidate, job: Job, heavy: bool) -> None:
        self.free += 1
        self.running_heavy -= heavy
        tenant.running -= 1
        tenant.deficit_us = settle(tenant.deficit_us, candidate.cost_us, round(job.cost_s * 1e6))
        if not (tenant.light or tenant.heavy or tenant.running):
            tenant.idle_since = self.now
        if self.learning:
            tenant.known = learn(tenant.known, round(job.cost_s * 1e6))
            is_heavy = expect(tenant.known, None, cpu_limit_s=LIMIT_S, compiled=False, settings=self.settings).heavy
            lane, other = (tenant.heavy, tenant.light) if is_heavy else (tenant.light, tenant.heavy)
            if other:  # the classes of one tenant are all alike here, so one lane is empty
                lane.extend(other)
                other.clear()

    def _decide(self) -> list[tuple[_Tenant, Candidate, Job, bool]]:
        waiting = [tenant for tenant in self.tenants.values() if tenant.light or tenant.heavy]
        if not waiting or not self.free:
            return []
        outcome = schedule(
            [
                TenantQueue(
                    tenant=tenant.name,
                    weight=tenant.weight,
                    deficit_us=tenant.deficit_us,
                    turn=tenant.turn,
                    fresh=tenant.fresh,
                    running=tenant.running,
                    light=[candidate for candidate, _ in islice(tenant.light, self.free)],
                    heavy=[candidate for candidate, _ in islice(tenant.heavy, self.free)],
                    idle_s=tenant.idle_s,
                )
                for tenant in waiting
            ],
            free=self.free,
            slots=self.slots,
            running=self.slots - self.free,
            running_heavy=self.running_heavy,
            turn=self.turn,
            settings=self.settings,
        )
        self.turn = outcome.turn
        for state in outcome.tenants:
            tenant = self.tenants[state.tenant]
            tenant.deficit_us, tenant.turn, tenant.fresh = state.deficit_us, state.turn, False
        started = []
        for pick in outcome.picks:
            tenant = self.tenants[pick.tenant]
            candidate, job = (tenant.heavy if pick.heavy else tenant.light).popleft()
            assert candidate.id == pick.id
            tenant.running += 1
            self.free -= 1
            self.running_heavy += pick.heavy
            started.append((tenant, candidate, job, pick.heavy))
        self.most_heavy = max(self.most_heavy, self.running_heavy)
        kept = math.floor(self.settings.reserve_share * self.slots)
        self.idle_slots |= self.free > kept and any(tenant.light for tenant in waiting)
        return started


def first_in_first_out(jobs: Iterable[Job], slots: int, *, startup_s: float = 0.0) -> list[Run]:
    """The same jobs with the same slots, as the queue that this one replaces would have run them."""
    free_at = [0.0] * slots
    runs = []
    for job in sorted(jobs, key=lambda job: job.at):
        started = max(job.at, free_at[0]) + startup_s
        heapq.heapreplace(free_at, started + job.cost_s)
        runs.append(Run(job=job, started=started))
    return runs


def quantile(values: list[float], part: float) -> float:
    """The value below which ``part`` of them are."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]
