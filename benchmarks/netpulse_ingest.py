"""Results of checks that NetPulse's records take per second, durably, and the bytes that each takes.

    PYTHONPATH=src:. python benchmarks/netpulse_ingest.py > result.json

Agents send full batches, each the next when it has its receipt. Results are those of a real day: nearly all are up
over HTTPS, some fail with a text, and they come in the order of a schedule. ``upkeep`` runs beside it as in the engine,
in a second pass; the first is the burst after an outage, where rollups wait. The PostgreSQL server is started here,
with ``fsync`` on.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop

from holdfast.evidence.origin import Machine, commit_of, project_root
from holdfast.netpulse.core.result import Failure, Observation, Outcome, Phases
from holdfast.netpulse.core.settings import RetentionSettings
from holdfast.netpulse.shell.records import NetpulseRecords
from holdfast.store import StoreSettings, open_database
from tests.databases import PostgresqlServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from holdfast.store import Database, Row, Tx

BATCH, BATCHES, AGENTS, MONITORS = 1000, 20, 5, 2000
START = 1_790_000_000.0
INTERVAL_S = 30.0
UPKEEP_S = 1.0
TABLES = ("netpulse_results", "netpulse_minutes", "netpulse_hours", "netpulse_days")


def batches(agent: int, rng: Random) -> Iterator[tuple[int, list[Observation]]]:
    """``BATCHES`` full ones: a region's checks of all monitors in the order of their schedule."""
    for number in range(BATCHES):
        yield number * BATCH + 1, [observation(agent, number * BATCH + one, rng) for one in range(BATCH)]


def observation(agent: int, one: int, rng: Random) -> Observation:
    at = START + one / MONITORS * INTERVAL_S + agent * INTERVAL_S / AGENTS
    first = rng.lognormvariate(4, 0.5)
    up = rng.random() > 0.01
    return Observation(
        monitor=f"default/monitor-{one % MONITORS}",
        region=f"region-{agent}",
        domain=f"domain-{agent % 3}",
        agent=f"agent-{agent}",
        at=at,
        received=at + rng.uniform(0.5, 5.0),
        outcome=Outcome.UP if up else Outcome.DOWN,
        failure=Failure.NONE if up else Failure.STATUS,
        total_ms=first + 60.0,
        phases=Phases(rng.uniform(1, 5), rng.uniform(5, 20), rng.uniform(10, 40), first, rng.uniform(0.1, 3)),
        status=200 if up else 503,
        detail="" if up else "503 Service Unavailable",
        address=f"192.0.2.{one % 250}",
        cert_days=60.0 + one % 30,
    )


async def ingest(database: Database, *, upkeep: bool) -> dict[str, Any]:
    """What became of all batches."""
    records = NetpulseRecords(database, RetentionSettings(), rng=Random(1))
    await records.open(START)
    rng = Random(2)
    made = [list(batches(agent, rng)) for agent in range(AGENTS)]
    took: list[float] = []
    spool = "upkeep" if upkeep else "burst"

    async def agent(number: int) -> None:
        for first, batch in made[number]:
            began = time.perf_counter()
            await records.take(batch, agent=f"agent-{number}", spool=spool, first=first, upto=first + BATCH - 1)
            took.append(time.perf_counter() - began)

    async def look_after() -> None:
        while True:
            await records.upkeep(START)
            await asyncio.sleep(UPKEEP_S)

    looking = asyncio.create_task(look_after()) if upkeep else None
    cpu, began = cpu_s(), time.perf_counter()
    await asyncio.gather(*(agent(number) for number in range(AGENTS)))
    elapsed, cpu = time.perf_counter() - began, cpu_s() - cpu
    if looking is not None:
        looking.cancel()
        await asyncio.wait([looking])
    took.sort()
    results = AGENTS * BATCHES * BATCH
    return {
        "results": results,
        "results_per_s": round(results / elapsed),
        "take_p50_ms": round(quantile(took, 0.5) * 1e3, 1),
        "take_p95_ms": round(quantile(took, 0.95) * 1e3, 1),
        "cpu_us_per_result": round(cpu / results * 1e6, 1),
        "figures": await records.figures(),
    }


async def rolled_up(database: Database) -> dict[str, Any]:
    """The rest of the rollups, and how long one step keeps writers waiting."""
    records = NetpulseRecords(database, RetentionSettings(), rng=Random(1))
    await records.open(START)
    waiting = (await records.figures())["to_roll_up"]
    began, calls = time.perf_counter(), []
    while (await records.figures())["to_roll_up"]:
        call = time.perf_counter()
        await records.upkeep(START)
        calls.append(time.perf_counter() - call)
    elapsed = time.perf_counter() - began
    return {
        "results": waiting,
        "results_per_s": round(waiting / elapsed) if waiting else None,
        "longest_upkeep_ms": round(max(calls, default=0.0) * 1e3, 1),
    }


async def sizes(database: Database) -> dict[str, float]:
    """Bytes per result of each table with its indices."""
    found: dict[str, float] = {}
    results = AGENTS * BATCHES * BATCH * 2
    for table in TABLES:
        if database.dialect == "sqlite":
            sql = """
                SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)"""
        else:
            sql = """
                SELECT CAST(sum(pg_total_relation_size(c.oid)) AS BIGINT) FROM pg_class c
                WHERE c.relkind = 'r' AND starts_with(c.relname, ?)"""
        row = await database.read(partial(one, sql=sql, value=table))
        found[table.removeprefix("netpulse_")] = round((row[0] if row and row[0] else 0) / results, 1)
    return found


def one(tx: Tx, sql: str, value: str) -> Row | None:
    return tx.one(sql, value)


async def measured(url: str) -> dict[str, Any]:
    async with await open_database(StoreSettings(url=url)) as database:
        burst = await ingest(database, upkeep=False)
        steady = await ingest(database, upkeep=True)
        rest = await rolled_up(database)
        return {
            "burst": burst,
            "with_upkeep": steady,
            "rolling_up": rest,
            "bytes_per_result": await sizes(database),
        }


def quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    commit, dirty = commit_of(project_root())
    machine = msgspec.to_builtins(Machine.here())
    load = {"batch": BATCH, "agents": AGENTS, "batches": BATCHES, "monitors": MONITORS}
    result: dict[str, Any] = {"argv": sys.argv, "commit": commit, "dirty": dirty, "machine": machine, "load": load}
    with tempfile.TemporaryDirectory(dir=".") as directory:  # not /tmp, which may be memory
        result["sqlite"] = uvloop.run(measured(f"sqlite:{Path(directory).resolve()}/records.db"))
    server = PostgresqlServer(durable=True)
    try:
        server.start()
        with server.database() as url:
            result["postgresql"] = uvloop.run(measured(url))
    finally:
        server.remove()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
