"""What is asked all the time reads by index, however long the queue is and whatever the planner knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from holdfast.execution.core.job import Status
from holdfast.execution.core.settings import AdmissionSettings, ExecutionSettings
from holdfast.execution.shell.queue import sql
from holdfast.kernel import Duration
from tests.conformance.execution.world import World, opened

if TYPE_CHECKING:
    from holdfast.store import Database

pytestmark = pytest.mark.anyio

ENDLESS = ExecutionSettings(admission=AdmissionSettings(tenant_backlog=Duration(1e6), total_backlog=Duration(1e6)))


async def plan(database: Database, statement: str, *values: Any) -> str:
    explain = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN (COSTS OFF) "}[database.dialect]
    rows = await database.write(lambda tx: tx.all(explain + sql.of(tx.dialect, statement), *values))
    return "\n".join(str(row[-1]) for row in rows)


async def test_no_statement_of_a_claim_or_of_upkeep_reads_the_whole_queue(database: Database) -> None:
    dialect = database.dialect
    async with opened(World(database, ENDLESS)) as world:
        for _ in range(10):
            await world.queue.submit([world.new(f"t{n % 5}") for n in range(200)], now=world.now)
        await world.give(free=4)
        later = world.now + 100
        for index, statement, values in [
            ("queue_jobs_ready", sql.HEADS[dialect], (later, 4, sql.several(dialect, ["python"]))),
            ("queue_jobs_running", sql.HELD, ("w",)),
            ("queue_jobs_running", sql.RUNNING, ()),
            ("queue_jobs_running", sql.LEASES_OVER, (later, 10)),
            ("queue_jobs_waiting", sql.RIPEN, (later,)),
            ("queue_jobs_deadline", sql.DEADLINES_OVER, (later, 10)),
            ("queue_jobs_sweep", sql.SWEEP, (later, 10)),
            ("queue_jobs_listing", sql.OLDEST, ()),
            ("queue_jobs_listing", sql.LIST_STATUS, ("t1", Status.QUEUED, "~", 10)),
            ("queue_jobs_idempotency", sql.POSTED_BEFORE, ("t1", sql.several(dialect, ["k"]))),
        ]:
            chosen = await plan(database, statement, *values)
            assert index in chosen, chosen
            assert "Seq Scan on queue_jobs" not in chosen, chosen
