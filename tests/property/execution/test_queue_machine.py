"""The queue under every order of submissions, claims, reports, cancellations, upkeep and replays that Hypothesis finds.

What has to hold after each step: an acknowledged job is in exactly one state, ends once, and has the result of the one
report that was accepted; a worker runs no more than it has slots; and the sums are those of the rows.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from holdfast.execution.core.job import TERMINAL, Priority, Status, Verdict
from holdfast.execution.core.ports import Accepted, Refused
from holdfast.execution.core.settings import AdmissionSettings, ExecutionSettings, LeaseSettings, RetentionSettings
from holdfast.execution.shell.queue import reading, upkeep
from holdfast.kernel import Duration
from holdfast.store import StoreSettings, open_database
from tests.conformance.execution.world import World, lease, program

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from holdfast.execution.core.job import Claim
    from holdfast.execution.core.ports import Event, Finish, Given, JobView, Returned
    from holdfast.store import Tx

T = TypeVar("T")

SLOTS = 3
SETTINGS = ExecutionSettings(
    admission=AdmissionSettings(tenant_backlog=Duration(1e6), total_backlog=Duration(1e6), daily_cpu=Duration(0)),
    lease=LeaseSettings(attempts=2),
    retention=RetentionSettings(results=Duration(300), jobs=Duration(900)),
)
TENANTS = st.sampled_from(["a", "b", "c"])
WORKERS = st.sampled_from(["w", "v"])
MEMORY = Path("/dev/shm")  # a file system without a disk under it, where there is one
FINISHED = (Verdict.OK, Verdict.TIME_LIMIT, Verdict.CANCELLED)


@dataclass
class Job:
    """What was promised about a job."""

    tenant: str
    token: int = 0
    claimed_by: str = ""
    settled: int = 0
    accepted: bytes | None = None
    """Of the report that ended it."""
    ended: Verdict | None = None


@dataclass
class Worker:
    """A worker process: it forgets nothing, so it also says what is long out of date."""

    epoch: int = 1
    claims: list[Claim] = field(default_factory=list)
    asked: dict[int, float] = field(default_factory=dict)
    """Epoch -> when it asked last."""

    def replaced(self, now: float) -> list[int]:
        """Epochs that are still remembered."""
        return [
            epoch for epoch, at in self.asked.items() if epoch != max(self.asked) and at > now - upkeep.EPOCHS_KEPT_S
        ]


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.home = Path(tempfile.mkdtemp(prefix="queue-", dir=MEMORY if MEMORY.is_dir() else None))
        self.database = self.run(open_database(StoreSettings(url=f"sqlite:{self.home}/q.db")))
        self.world = World(self.database, SETTINGS)
        self.run(self.world.queue.open(self.world.now))
        self.jobs: dict[str, Job] = {}
        self.workers = {"w": Worker(), "v": Worker()}
        self.cpu_us: Counter[str] = Counter()
        self.reports = 0

    def teardown(self) -> None:
        self.run(self.world.queue.close())
        self.run(self.database.close())
        self.runner.close()
        shutil.rmtree(self.home)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    # ------------------------------------------------------------ steps

    @rule(
        tenants=st.lists(TENANTS, min_size=1, max_size=4),
        language=st.sampled_from(["python", "python", "cpp", "cobol"]),
        priority=st.sampled_from(Priority),
        wait=st.none() | st.sampled_from([5, 60]),
        key=st.none() | st.sampled_from(["k", "l"]),
        together=st.booleans(),
    )
    def submit(
        self,
        tenants: list[str],
        language: str,
        priority: Priority,
        wait: int | None,
        key: str | None,
        together: bool,
    ) -> None:
        world = self.world
        new = [
            world.new(
                tenant,
                program=program(language),
                priority=priority,
                deadline=None if wait is None else world.now + wait,
                idempotency_key=key,
                cost_estimate_us=0,
                callback_url="https://example.org/",
            )
            for tenant in tenants
        ]
        for job, outcome in zip(new, self.run(world.queue.submit(new, now=world.now, together=together)), strict=True):
            assert isinstance(outcome, Accepted)
            if outcome.repeated:
                assert self.jobs[outcome.id].tenant == job.tenant
            else:
                self.jobs[outcome.id] = Job(job.tenant)

    @rule(tenant=TENANTS)
    def submit_one(self, tenant: str) -> None:
        self.submit([tenant], "python", Priority.NORMAL, None, None, together=False)

    @rule(name=WORKERS)
    def give_all(self, name: str) -> None:
        self.give(name, SLOTS, renews=True)

    @rule(name=WORKERS, free=st.integers(0, SLOTS + 1), renews=st.booleans())
    def give(self, name: str, free: int, renews: bool) -> None:
        worker = self.workers[name]
        held = tuple(lease(claim) for claim in worker.claims) if renews else ()
        given = self.run(self.world.give(name, free=free, held=held, slots=SLOTS, epoch=f"{name}-{worker.epoch}"))
        worker.asked[worker.epoch] = self.world.now
        assert len(given.claims) <= free
        for claim in given.claims:
            job = self.jobs[claim.id]
            assert claim.tenant == job.tenant
            assert claim.token > job.token
            assert claim.attempt <= SETTINGS.lease.attempts
            assert job.ended is None
            assert claim.program.language != "cobol"
            job.token, job.claimed_by = claim.token, name
            worker.claims.append(claim)
        self.check_lost(given, name)

    @precondition(lambda self: any(worker.claims for worker in self.workers.values()))
    @rule(
        data=st.data(),
        verdict=st.sampled_from([*FINISHED, Verdict.INTERNAL_ERROR]),
        back=st.sampled_from(["finish", "finish", "return", "shutdown"]),
        cpu_ms=st.sampled_from([0, 20, 3000]),
    )
    def report(self, data: st.DataObject, verdict: Verdict, back: str, cpu_ms: int) -> None:
        """Of any claim there ever was; twice, as a worker does that got no receipt."""
        name = data.draw(st.sampled_from([name for name, worker in self.workers.items() if worker.claims]))
        claims = self.workers[name].claims
        stale = [claim for claim in claims if claim.token < self.jobs[claim.id].token]
        claim = data.draw(st.sampled_from(stale[-2:] + claims[-3:]))
        job = self.jobs[claim.id]
        before = self.look(claim.id)
        current = (
            before is not None
            and before.status is Status.RUNNING
            and (job.token, job.claimed_by) == (claim.token, name)
        )
        self.reports += 1
        tag = str(self.reports).encode()
        finished: tuple[Finish, ...] = ()
        returned: tuple[Returned, ...] = ()
        if back == "finish":
            finished = (self.world.finished(claim, verdict=verdict, cpu_ms=cpu_ms, stdout=tag),)
        else:
            returned = (self.world.returned(claim, counts=back == "return"),)
        for _ in range(2):
            given = self.run(self.world.report(name, finished=finished, returned=returned))
            assert bool(given.lost) == (before is None or not (current or job.settled == claim.token))
        if not current:
            return
        job.settled = claim.token
        if back == "finish":
            self.cpu_us[job.tenant] += cpu_ms * 1000
            if verdict in FINISHED:
                job.accepted = tag
                after = self.look(claim.id)
                assert after is not None
                assert after.status is Status.FINISHED

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.jobs)))
        before = self.look(id)
        after = self.run(self.world.queue.cancel(self.jobs[id].tenant, id, now=self.world.now))
        if before is None or before.status in TERMINAL:
            assert after == before
            return
        assert after is not None
        if before.status is Status.QUEUED:
            assert (after.status, after.verdict) == (Status.FINISHED, Verdict.CANCELLED)
        else:
            assert after.status is Status.RUNNING

    @precondition(lambda self: any(worker.claims for worker in self.workers.values()))
    @rule(name=WORKERS)
    def restart(self, name: str) -> None:
        self.workers[name].epoch += 1

    @precondition(lambda self: any(worker.replaced(self.world.now) for worker in self.workers.values()))
    @rule(data=st.data())
    def late_request_of_a_dead_process(self, data: st.DataObject) -> None:
        now = self.world.now
        name = data.draw(st.sampled_from([name for name, worker in self.workers.items() if worker.replaced(now)]))
        epoch = data.draw(st.sampled_from(self.workers[name].replaced(now)))
        before = self.rows("SELECT id FROM queue_jobs WHERE status = 'running'")
        given = self.run(self.world.give(name, free=SLOTS, slots=SLOTS, epoch=f"{name}-{epoch}"))
        assert given.claims == ()
        assert self.rows("SELECT id FROM queue_jobs WHERE status = 'running'") == before

    @rule(seconds=st.sampled_from([0.5, 4, 16, 120, 400]), tidy=st.booleans())
    def time_passes(self, seconds: float, tidy: bool) -> None:
        self.world.now += seconds
        if tidy:
            self.tidy()

    @rule()
    def a_lease_and_its_backoff_pass(self) -> None:
        self.world.now += 16
        self.tidy()
        self.world.now += 120

    @precondition(lambda self: any(job.ended is Verdict.INTERNAL_ERROR for job in self.jobs.values()))
    @rule(tenant=TENANTS)
    def replay(self, tenant: str) -> None:
        dead = {
            id
            for id, job in self.jobs.items()
            if job.tenant == tenant and (view := self.look(id)) and view.status is Status.DEAD and not view.expired
        }
        queued = self.run(self.world.queue.replay(tenant, ids=None, reason=None, language=None, now=self.world.now))
        assert not isinstance(queued, Refused)
        assert set(queued) == dead
        for id in queued:
            self.jobs[id].ended = None

    # ------------------------------------------------------------ what holds

    @invariant()
    def every_job_is_in_one_state_and_ends_once(self) -> None:
        def look(tx: Tx) -> list[tuple[Job, JobView | None, list[Event] | None]]:
            return [
                (
                    job,
                    reading.job(tx, tenant=job.tenant, id=id, settings=SETTINGS),
                    reading.events(tx, tenant=job.tenant, id=id, after=0, limit=1000),
                )
                for id, job in self.jobs.items()
            ]

        for job, view, events in self.run(self.database.read(look)):
            if view is None or events is None:
                assert job.ended is not None  # only what has ended is ever removed
                continue
            ended = view.status in TERMINAL
            if job.ended is not None:
                assert (ended, view.verdict) == (True, job.ended)
            elif ended:
                job.ended = view.verdict
            assert (view.verdict is not None) == ended
            if view.expired:
                continue
            assert job.accepted is None or (view.result is not None and view.result.stdout == job.accepted)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert (events[-1].kind in {"finished", "dead"}) == ended

    @invariant()
    def workers_run_no_more_than_they_have_slots(self) -> None:
        busy = self.rows("SELECT worker, COUNT(*) FROM queue_jobs WHERE status = 'running' GROUP BY worker")
        assert all(count <= SLOTS for _, count in busy)

    @invariant()
    def sums_are_those_of_the_rows(self) -> None:
        lanes = self.rows(
            "SELECT tenant, language, heavy, queued, backlog_us FROM queue_lanes WHERE queued <> 0 OR backlog_us <> 0"
        )
        counted = self.rows(
            "SELECT tenant, language, heavy, COUNT(*), SUM(estimate_us) FROM queue_jobs WHERE status = 'queued' "
            "GROUP BY tenant, language, heavy"
        )
        assert sorted(lanes) == sorted(counted)
        running = self.rows("SELECT tenant, running FROM queue_tenants WHERE running <> 0")
        assert sorted(running) == sorted(
            self.rows("SELECT tenant, COUNT(*) FROM queue_jobs WHERE status = 'running' GROUP BY tenant")
        )
        costs = dict(self.rows("SELECT tenant, SUM(cpu_us) FROM queue_costs GROUP BY tenant"))
        assert {tenant: cpu_us for tenant, cpu_us in costs.items() if cpu_us} == +self.cpu_us
        assert self.rows("SELECT 1 FROM queue_jobs WHERE ready = 1 AND status <> 'queued'") == []

    @invariant()
    def nothing_hangs_on_jobs_that_are_not_there(self) -> None:
        for table in ("programs", "results", "events", "dead_letters", "callbacks"):
            query = f"SELECT 1 FROM queue_{table} WHERE job NOT IN (SELECT id FROM queue_jobs WHERE expired = 0)"
            assert self.rows(query) == []

    # ------------------------------------------------------------

    def tidy(self) -> None:
        self.run(self.world.queue.tidy(now=self.world.now))

    def look(self, id: str) -> JobView | None:
        return self.run(self.world.queue.job(self.jobs[id].tenant, id))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.run(self.database.read(lambda tx: tx.all(query)))

    def check_lost(self, given: Given, name: str) -> None:
        for lost in given.lost:
            view = self.look(lost.id)
            job = self.jobs[lost.id]
            current = view is not None and view.status is Status.RUNNING and job.claimed_by == name
            assert not (current and job.token == lost.token)
            assert view is None or job.settled != lost.token  # what was removed long after is lost to everybody


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = hypothesis.settings(max_examples=40, stateful_step_count=30, deadline=None)
