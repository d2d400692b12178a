"""The worker against a scripted API: claims, kills, lost leases, outages, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.execution.core.job import Result, Verdict
from holdfast.execution.shell.worker import worker as worker_module
from holdfast.execution.shell.worker.claims import Claim, GiveBack
from holdfast.execution.shell.worker.errors import Rejected, Unanswered
from holdfast.execution.shell.worker.worker import Worker
from holdfast.testing import eventually
from tests.unit.execution.jobs import job
from tests.unit.execution.stub_api import StubApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from holdfast.execution.core.protocol import WireJob
    from holdfast.execution.core.task import OnOutput


class ScriptedRunner:
    """Runs nothing: a job is over when the test says so, or when it is killed."""

    def __init__(self) -> None:
        self.running: dict[str, asyncio.Future[Result]] = {}
        self.outputs: dict[str, OnOutput | None] = {}
        self.most = 0
        self.started: list[str] = []

    async def run(self, claim: Claim, on_output: OnOutput | None) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.running[claim.job.id] = future
        self.outputs[claim.job.id] = on_output
        self.started.append(claim.job.id)
        self.most = max(self.most, len(self.running))
        claim.runs_in(_Killable(claim, future))
        try:
            return await future
        finally:
            del self.running[claim.job.id]

    async def end(self, job: WireJob, *, stdout: bytes = b"") -> None:
        await eventually(lambda: job.id in self.running, "the job starts")
        self.running[job.id].set_result(Result(verdict=Verdict.OK, stdout=stdout))

    async def write(self, job: WireJob, data: bytes) -> None:
        await eventually(lambda: job.id in self.running, "the job starts")
        write = self.outputs[job.id]
        assert write is not None
        write("stdout", data)


class _Killable:
    def __init__(self, claim: Claim, future: asyncio.Future[Result]) -> None:
        self._claim, self._future = claim, future

    def kill(self) -> None:
        if self._future.done():
            return
        if self._claim.stopped in ("cancelled", "expired"):
            self._future.set_result(Result(verdict=Verdict(self._claim.stopped)))
        else:
            self._future.set_exception(GiveBack("shut down", counts=False))

    async def run(self, task: Any, on_output: Any = None) -> Any:
        raise NotImplementedError


class Bench:
    """A worker with its API and its runner."""

    def __init__(self, **options: Any) -> None:
        self.api = StubApi()
        self.runner = ScriptedRunner()
        values: dict[str, Any] = {
            "name": "w",
            "epoch": "e",
            "slots": 2,
            "languages": {"python": "3.11"},
            "tier": "full",
            "renew_s": 5.0,
            "drain_s": 5.0,
            "rng": Random(1),
            "utc": time.time,
            **options,
        }
        self.worker = Worker(self.api, self.runner, **values)
        self.running = asyncio.create_task(self.worker.run())

    async def stop(self) -> int:
        self.worker.stop()
        async with asyncio.timeout(20):
            return await self.running


@contextlib.asynccontextmanager
async def bench(**options: Any) -> AsyncIterator[Bench]:
    """A worker at work; at the end everything that still runs is killed."""
    made = Bench(**options)
    try:
        yield made
    finally:
        made.api.down = None
        made.api.report_gate.set()
        if not made.running.done():
            made.worker.stop()
            made.worker.stop()
            assert await made.stop() == 0


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts as short as a test likes them."""
    monkeypatch.setattr(worker_module, "BACKOFF_S", (0.001, 0.005))
    monkeypatch.setattr(worker_module, "PAUSE_S", 0.01)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 30))


def some(number: int) -> list[WireJob]:
    return [job("python", {"main.py": ""}) for _ in range(number)]


def test_a_job_is_claimed_run_and_reported() -> None:
    async def scenario() -> None:
        async with bench() as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await b.runner.end(wanted, stdout=b"out")
            result = await b.api.result(wanted)
        assert (result.verdict, result.stdout, result.token) == ("ok", b"out", wanted.token)

    run(scenario())


def test_a_worker_says_who_it_is_what_it_offers_and_what_it_holds() -> None:
    async def scenario() -> None:
        async with bench() as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await eventually(lambda: len(b.api.syncs) >= 2)
            first, second = b.api.syncs[:2]
        assert (first.worker, first.epoch, first.slots, first.free, first.held) == ("w", "e", 2, 2, ())
        assert first.languages == {"python": "3.11"}
        assert (second.free, [(one.id, one.token) for one in second.held]) == (1, [(wanted.id, wanted.token)])

    run(scenario())


def test_no_more_jobs_are_claimed_than_there_are_free_slots() -> None:
    async def scenario() -> None:
        async with bench() as b:
            jobs = some(20)
            b.api.submit(*jobs)
            for wanted in jobs:
                await b.runner.end(wanted)
                await b.api.result(wanted)
        assert b.runner.most == 2
        assert all(sync.free + len(sync.held) <= 2 for sync in b.api.syncs)

    run(scenario())


def test_a_slot_is_taken_until_the_result_is_received() -> None:
    async def scenario() -> None:
        async with bench(slots=1) as b:
            first, second = some(2)
            b.api.report_gate.clear()
            b.api.submit(first, second)
            await b.runner.end(first)
            await eventually(lambda: not b.runner.running)
            await eventually(lambda: b.api.open_syncs == 1)
            assert b.api.syncs[-1].free == 0
            assert [one.id for one in b.api.syncs[-1].held] == [first.id]
            assert b.runner.started == [first.id]
            b.api.report_gate.set()
            await b.runner.end(second)
            await b.api.result(second)

    run(scenario())


def test_a_sync_is_open_while_all_slots_are_taken_and_a_kill_order_comes_through_it() -> None:
    async def scenario() -> None:
        async with bench(slots=1) as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await eventually(lambda: b.api.syncs[-1:] and b.api.syncs[-1].free == 0 and b.api.open_syncs == 1)
            b.api.order(kill=wanted)
            assert (await b.api.result(wanted)).verdict == "cancelled"

    run(scenario())


def test_a_kill_order_may_come_with_a_receipt() -> None:
    async def scenario() -> None:
        async with bench(slots=2, renew_s=0.01) as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await eventually(lambda: b.runner.running)
            b.api.kill.add((wanted.id, wanted.token))  # nobody wakes the sync
            assert (await b.api.result(wanted)).verdict == "cancelled"

    run(scenario())


def test_of_a_job_whose_lease_is_lost_nothing_is_reported_and_its_slot_is_free() -> None:
    async def scenario() -> None:
        async with bench(slots=1) as b:
            lost, following = some(2)
            b.api.submit(lost)
            await eventually(lambda: b.runner.running)
            b.api.order(lost=lost)
            await eventually(lambda: not b.runner.running)
            b.api.submit(following)
            await b.runner.end(following)
            await b.api.result(following)
        assert lost.id not in b.api.results
        assert [back for report in b.api.reports for back in report.given_back] == []
        assert lost.id not in {result.id for report in b.api.reports for result in report.results}

    run(scenario())


def test_a_result_that_is_refused_frees_its_slot() -> None:
    async def scenario() -> None:
        async with bench(slots=1) as b:
            stale, following = some(2)
            b.api.submit(stale)
            await eventually(lambda: b.runner.running)
            b.api.lost.add((stale.id, stale.token))  # given on; the worker learns it from the receipt
            await b.runner.end(stale)
            b.api.submit(following)
            await b.runner.end(following)
            await b.api.result(following)
        assert stale.id not in b.api.results

    run(scenario())


def test_the_same_job_with_a_new_token_is_another_claim() -> None:
    async def scenario() -> None:
        async with bench(slots=2) as b:
            (old,) = some(1)
            new = job("python", {"main.py": ""}, id=old.id, token=2)
            b.api.submit(old)
            await eventually(lambda: b.runner.running)
            b.api.order(lost=old)
            b.api.submit(new)
            await eventually(lambda: len(b.runner.started) == 2)
            await b.runner.end(new)
            assert (await b.api.result(new)).token == 2

    run(scenario())


def test_a_deadline_that_passes_kills_the_job() -> None:
    async def scenario() -> None:
        async with bench(utc=lambda: 1000.0) as b:
            wanted = job("python", {"main.py": ""}, deadline=1000.05)
            b.api.submit(wanted)
            assert (await b.api.result(wanted)).verdict == "expired"

    run(scenario())


def test_while_the_api_is_down_jobs_go_on_and_results_are_kept() -> None:
    async def scenario() -> None:
        async with bench() as b:
            first, second = some(2)
            b.api.submit(first, second)
            await eventually(lambda: len(b.runner.running) == 2)
            b.api.down = Unanswered("down")
            await b.runner.end(first, stdout=b"1")
            await b.runner.end(second, stdout=b"2")
            attempts = len(b.api.syncs)
            await eventually(lambda: len(b.api.syncs) > attempts + 3, "syncs are repeated")
            assert b.api.results == {}
            b.api.down = None
            assert (await b.api.result(first)).stdout == b"1"
            assert (await b.api.result(second)).stdout == b"2"

    run(scenario())


def test_an_answer_in_one_conversation_ends_the_backoff_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "BACKOFF_S", (600.0, 600.0))

    async def scenario() -> None:
        async with bench() as b:
            first, second = some(2)
            b.api.refuse = {first.id: Unanswered("just once")}
            b.api.submit(first)
            await b.runner.end(first)
            await eventually(lambda: b.worker._answered.is_set() is False, "the report has failed")
            b.api.refuse = {}
            b.api.submit(second)  # the sync that brings it says that the API is there
            await b.api.result(first)

    run(scenario())


def test_results_that_come_together_are_reported_together() -> None:
    async def scenario() -> None:
        async with bench(slots=8) as b:
            jobs = some(8)
            b.api.submit(*jobs)
            await eventually(lambda: len(b.runner.running) == 8)
            b.api.report_gate.clear()
            for wanted in jobs:
                await b.runner.end(wanted)
            await eventually(lambda: not b.runner.running)
            b.api.report_gate.set()
            for wanted in jobs:
                await b.api.result(wanted)
        assert [len(report.results) for report in b.api.reports if report.results] in ([1, 7], [8])

    run(scenario())


def test_leases_are_renewed_while_a_job_runs() -> None:
    async def scenario() -> None:
        async with bench(renew_s=0.02) as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await eventually(lambda: len(b.api.reports) >= 3)
            for report in b.api.reports[:3]:
                assert [(one.id, one.token) for one in report.held] == [(wanted.id, wanted.token)]
                assert report.results == ()

    run(scenario())


def test_output_arrives_while_the_job_runs() -> None:
    async def scenario() -> None:
        async with bench() as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await b.runner.write(wanted, b"one ")
            await b.runner.write(wanted, b"two")
            await eventually(lambda: any(report.output for report in b.api.reports))
            (piece,) = next(report.output for report in b.api.reports if report.output)
            assert (piece.id, piece.token, piece.seq, piece.stream, piece.data) == (
                wanted.id, wanted.token, 0, "stdout", b"one two",
            )  # fmt: skip
            assert b.api.results == {}

    run(scenario())


def test_output_that_nobody_wants_is_not_sent() -> None:
    async def scenario() -> None:
        async with bench() as b:
            wanted = job("python", {"main.py": ""}, live=False)
            b.api.submit(wanted)
            await eventually(lambda: wanted.id in b.runner.running)
            assert b.runner.outputs[wanted.id] is None

    run(scenario())


def test_a_job_that_cannot_be_run_is_given_back_and_counts() -> None:
    async def scenario() -> None:
        async with bench() as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await eventually(lambda: b.runner.running)
            b.runner.running[wanted.id].set_exception(GiveBack("the sandbox failed"))
            await eventually(lambda: any(report.given_back for report in b.api.reports))
        (back,) = next(report.given_back for report in b.api.reports if report.given_back)
        assert (back.id, back.reason, back.counts) == (wanted.id, "the sandbox failed", True)

    run(scenario())


def test_an_error_of_ours_costs_an_attempt_and_not_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with bench() as b:
            bad, good = some(2)
            b.api.submit(bad)
            await eventually(lambda: b.runner.running)
            b.runner.running[bad.id].set_exception(RuntimeError("a bug"))
            b.api.submit(good)
            await b.runner.end(good)
            await b.api.result(good)
        (back,) = [back for report in b.api.reports for back in report.given_back]
        assert (back.reason, back.counts) == ("RuntimeError: a bug", True)

    run(scenario())
    assert "a bug" in caplog.text


def test_more_jobs_than_were_asked_for_go_back_without_counting() -> None:
    async def scenario() -> None:
        async with bench(slots=1) as b:
            jobs = some(3)
            b.worker._start(jobs[0])
            b.worker._start(jobs[1])
            await eventually(lambda: any(report.given_back for report in b.api.reports))
        (back,) = [back for report in b.api.reports for back in report.given_back if back.id == jobs[1].id]
        assert not back.counts

    run(scenario())


def test_a_report_that_is_rejected_is_taken_apart_and_the_guilty_result_given_back() -> None:
    async def scenario() -> None:
        async with bench() as b:
            good, bad = some(2)
            b.api.refuse = {bad.id: Rejected("too large", status=413)}
            b.api.submit(good, bad)
            await eventually(lambda: len(b.runner.running) == 2)
            b.api.report_gate.clear()
            await b.runner.end(bad)
            await b.runner.end(good)
            await eventually(lambda: not b.runner.running)
            b.api.report_gate.set()
            await b.api.result(good)
            await eventually(lambda: any(report.given_back for report in b.api.reports))
        (back,) = next(report.given_back for report in b.api.reports if report.given_back)
        assert (back.id, back.counts) == (bad.id, True)
        assert "too large" in back.reason

    run(scenario())


def test_on_a_stop_running_jobs_finish_and_no_more_are_claimed() -> None:
    async def scenario() -> None:
        async with bench() as b:
            first, later = some(2)
            b.api.submit(first)
            await eventually(lambda: b.runner.running)
            stopping = asyncio.create_task(b.stop())
            await eventually(lambda: b.api.syncs[-1].free == 0)
            b.api.submit(later)
            await b.runner.end(first)
            assert await stopping == 0
        assert b.api.results[first.id].verdict == "ok"
        assert b.runner.started == [first.id]

    run(scenario())


def test_an_idle_worker_stops_at_once() -> None:
    async def scenario() -> None:
        async with bench() as b:
            await eventually(lambda: b.api.open_syncs == 1)
            assert await b.stop() == 0

    run(scenario())


def test_what_is_not_done_by_the_drain_timeout_goes_back_without_counting() -> None:
    async def scenario() -> None:
        async with bench(drain_s=0.02) as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await eventually(lambda: b.runner.running)
            assert await b.stop() == 0
        (back,) = [back for report in b.api.reports for back in report.given_back]
        assert (back.id, back.token, back.counts) == (wanted.id, wanted.token, False)

    run(scenario())


def test_a_second_stop_waits_for_no_job() -> None:
    async def scenario() -> None:
        async with bench(drain_s=60.0) as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await eventually(lambda: b.runner.running)
            stopping = asyncio.create_task(b.stop())
            await asyncio.sleep(0)
            b.worker.stop()
            assert await stopping == 0
        assert [back.counts for report in b.api.reports for back in report.given_back] == [False]

    run(scenario())


def test_a_worker_whose_api_is_gone_stops_after_its_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "FAREWELL_S", 0.05)

    async def scenario() -> None:
        async with bench(drain_s=0.02) as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await eventually(lambda: b.runner.running)
            b.api.down = Unanswered("down")
            assert await b.stop() == 0

    run(scenario())


def test_an_api_that_repeats_a_kill_order_at_once_is_not_asked_in_a_tight_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "PAUSE_S", 0.05)

    async def scenario() -> None:
        async with bench(slots=2) as b:
            (wanted,) = some(1)
            b.api.submit(wanted)
            await eventually(lambda: b.runner.running)
            b.api.lost.add(("unknown", 1))
            b.runner.running[wanted.id].add_done_callback(lambda _: None)
            monkeypatch.setattr(Claim, "stop", lambda *_: None)  # a job that takes its time to die
            before = len(b.api.syncs)
            b.api.order(kill=wanted)
            await asyncio.sleep(0.2)
            assert len(b.api.syncs) - before < 10
            monkeypatch.undo()

    run(scenario())
