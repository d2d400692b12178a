"""Durable writes per second of each store, and what the store adds to the bare SQL.

    PYTHONPATH=src:. python benchmarks/store.py > result.json

A write looks for a key and inserts 300 bytes, as a submission does. ``loop_us`` of Python stand around each on the
same interpreter lock, as the HTTP API's do. The PostgreSQL server is started here, with ``fsync`` on.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop

from holdfast.evidence.origin import Machine, commit_of, project_root
from holdfast.store import StoreSettings, open_database
from tests.databases import PostgresqlServer

if TYPE_CHECKING:
    from holdfast.store import Tx

TABLE = "CREATE TABLE jobs (id {serial}, key TEXT UNIQUE, body {blob})"
FIND, INSERT = "SELECT id FROM jobs WHERE key = ?", "INSERT INTO jobs (key, body) VALUES (?, ?)"
BODY = b"x" * 300
LOADS = [(300, 1, 0), (1000, 4, 0), (10_000, 64, 0), (5_000, 64, 200)]  # writes, at a time, loop_us


def submission(key: str) -> Any:
    def work(tx: Tx) -> None:
        if tx.one(FIND, key) is None:
            tx.run(INSERT, key, BODY)
            tx.notify("jobs", key)

    return work


async def measured(url: str) -> list[dict[str, float]]:
    results = []
    async with await open_database(StoreSettings(url=url)) as database:
        await database.migrate("benchmark", [[TABLE]])
        for writes, at_a_time, loop_us in LOADS:
            took: list[float] = []
            keys = iter(range(writes))

            async def lane(name: str, keys: Any = keys, took: list[float] = took, loop_us: int = loop_us) -> None:
                for key in keys:
                    await asyncio.sleep(0)
                    spin(loop_us / 1e6)
                    began = time.perf_counter()
                    await database.write(submission(f"{name}-{key}"))
                    took.append(time.perf_counter() - began)

            cpu, began = cpu_s(), time.perf_counter()
            await asyncio.gather(*(lane(f"{at_a_time}-{loop_us}") for _ in range(at_a_time)))
            elapsed = time.perf_counter() - began
            took.sort()
            results.append(
                {
                    "at_a_time": at_a_time,
                    "loop_us": loop_us,
                    "writes_per_s": round(writes / elapsed),
                    "p50_ms": round(took[writes // 2] * 1e3, 2),
                    "p99_ms": round(took[int(writes * 0.99)] * 1e3, 2),
                    "cpu_us": round((cpu_s() - cpu) / writes * 1e6, 1),
                }
            )
    return results


def bare_sqlite_us(path: Path, writes: int = 10_000, group: int = 64) -> float:
    """CPU time of the same statements without the store."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, body BLOB)")
    began = cpu_s()
    for number in range(writes):
        if number % group == 0:
            connection.execute("BEGIN IMMEDIATE")
        if connection.execute(FIND, (str(number),)).fetchall() == []:
            connection.execute(INSERT, (str(number), BODY))
        if number % group == group - 1 or number == writes - 1:
            connection.execute("COMMIT")
    connection.close()
    return round((cpu_s() - began) / writes * 1e6, 1)


def spin(duration_s: float) -> None:
    until = time.perf_counter() + duration_s
    while time.perf_counter() < until:
        pass


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    commit, dirty = commit_of(project_root())
    machine = msgspec.to_builtins(Machine.here())
    result: dict[str, Any] = {"argv": sys.argv, "commit": commit, "dirty": dirty, "machine": machine}
    with tempfile.TemporaryDirectory(dir=".") as directory:  # not /tmp, which may be memory
        result["bare_sqlite_cpu_us"] = bare_sqlite_us(Path(directory, "bare.db"))
        result["sqlite"] = uvloop.run(measured(f"sqlite:{directory}/store.db"))
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
