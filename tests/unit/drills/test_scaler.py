"""The orchestrator of the drill ``scale-to-zero``, without processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from holdfast.drills import scaler
from holdfast.drills.code_service import CodeService
from holdfast.drills.errors import DrillError
from holdfast.drills.scaler import Fleet, by_processor, follow


@dataclass(eq=False)
class Worker:
    """A process that is none."""

    pid: int
    ends: list[str] = field(default_factory=list)
    over: bool = False

    def stop(self) -> int:
        self.ends.append("drained")
        return 0

    def tree(self) -> list[int]:
        return [self.pid]


@dataclass
class Service:
    """Starts such workers."""

    workers: list[Worker] = field(default_factory=list)
    started: list[Worker] = field(default_factory=list)

    def start_worker(self) -> Worker:
        worker = Worker(pid=len(self.started) + 1)
        self.workers.append(worker)
        self.started.append(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        worker.ends.append("killed")
        self.workers.remove(worker)

    def log(self) -> str:
        return "its last words"


def fleet_of(service: Service, *, drain: bool = True) -> Fleet:
    return Fleet(cast("CodeService", service), drain=drain)


def signals(*wanted: int | None) -> tuple[Callable[[], Awaitable[int | None]], asyncio.Event]:
    """A signal that says these things one after the other, and an event for when it has said them all."""
    left, said = list(wanted), asyncio.Event()

    async def signal() -> int | None:
        if left:
            return left.pop(0)
        said.set()
        return None

    return signal, said


async def followed(fleet: Fleet, *wanted: int | None) -> None:
    signal, said = signals(*wanted)
    async with asyncio.timeout(5):
        task = asyncio.create_task(follow(fleet, signal))
        await said.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaler, "LOOK_S", 0.0)


def test_it_starts_what_is_wanted_and_drains_the_longest_serving_of_the_rest() -> None:
    service = Service()

    async def run() -> None:
        fleet = fleet_of(service)
        await followed(fleet, 3, None, 1)
        assert [worker.pid for worker in fleet.members] == [3]
        await fleet.disband()
        assert await fleet.wait_until_empty(within_s=1)
        assert len(fleet.lived_s) == 3

    asyncio.run(run())
    assert [worker.ends for worker in service.started] == [["drained"]] * 3
    assert service.workers == []


def test_without_draining_workers_are_killed() -> None:
    service = Service()

    async def run() -> None:
        fleet = fleet_of(service, drain=False)
        await followed(fleet, 2, 0)
        assert await fleet.wait_until_empty(within_s=1)

    asyncio.run(run())
    assert [worker.ends for worker in service.started] == [["killed"]] * 2


def test_a_signal_that_is_not_known_changes_nothing() -> None:
    service = Service()

    async def run() -> None:
        fleet = fleet_of(service)
        await followed(fleet, None, None)
        assert await fleet.wait_until_empty(within_s=1)

    asyncio.run(run())
    assert service.started == []


def test_processor_time_says_nothing_while_nobody_is_there() -> None:
    async def run() -> None:
        signal = by_processor(fleet_of(Service()), most=3)
        assert [await signal() for _ in range(3)] == [None] * 3

    asyncio.run(run())


@pytest.mark.parametrize(("used", "wanted"), [((0.0, 10.0), 2), ((0.0, 0.0), 0)])
def test_processor_time_wants_one_more_when_busy_and_one_less_when_idle(
    used: tuple[float, float], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter(used)
    monkeypatch.setattr(scaler, "cpu_s", lambda _: next(figures))

    async def run() -> None:
        fleet = fleet_of(Service())
        await fleet.grow()
        signal = by_processor(fleet, most=3)
        assert await signal() is None, "one look is no rate"
        assert await signal() == wanted
        await fleet.disband()

    asyncio.run(run())


def test_a_worker_that_leaves_unasked_ends_the_drill_with_its_last_words() -> None:
    async def run() -> None:
        service = Service()
        fleet = fleet_of(service)
        await fleet.grow()
        service.started[0].over = True
        with pytest.raises(DrillError, match="its last words"):
            fleet.inspect()
        await fleet.disband()

    asyncio.run(run())
