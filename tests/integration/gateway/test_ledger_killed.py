"""A process that writes attempts is killed; what it had acknowledged is there, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from holdfast.gateway.core.limits import LimitTable
from holdfast.gateway.core.settings import LedgerSettings, LimitsSettings
from holdfast.gateway.shell.ledger import MoneyLedger, PriceList, Query, Reports
from holdfast.store import StoreSettings, open_database

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

CHILD = """
import asyncio, sys
from holdfast.gateway.core.limits import LimitTable
from holdfast.gateway.core.settings import LedgerSettings, LimitsSettings
from holdfast.gateway.shell.ledger import MoneyLedger, PriceList
from holdfast.kernel import Duration
from holdfast.store import StoreSettings, open_database
from tests.unit.gateway.attempts import HOLDER, WALL, begun, ended

async def main(path, run):
    async with await open_database(StoreSettings(url=f"sqlite:{path}/store.db")) as database:
        settings = LedgerSettings(path=f"{path}/journal", fold=Duration(0.02))
        ledger = MoneyLedger(settings, database, LimitTable(LimitsSettings()), PriceList())
        await ledger.open()
        number = 0
        while True:
            attempt = f"{run}-{number}"
            await ledger.reserve(HOLDER, attempt, 7, wall=WALL, deadline_s=5)
            ledger.begin(begun(attempt, reserved=7))
            print("begun", attempt, flush=True)
            if number % 3:
                ledger.end(ended(attempt, 5))
                print("ended", attempt, flush=True)
            number += 1
            await asyncio.sleep(0)

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


async def test_nothing_that_was_acknowledged_is_lost_or_counted_twice(tmp_path: Path) -> None:
    begun: set[str] = set()
    ended: set[str] = set()
    for run, lines in (("one", 40), ("two", 500), ("three", 3000)):
        child = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
            [sys.executable, "-c", CHILD, str(tmp_path), run],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert child.stdout is not None
        with child.stdout as out:
            for _ in range(lines):
                out.readline()
            child.send_signal(signal.SIGKILL)
            out.read()
        child.wait()

        async with await open_database(StoreSettings(url=f"sqlite:{tmp_path}/store.db")) as database:
            ledger = MoneyLedger(
                LedgerSettings(path=f"{tmp_path}/journal"), database, LimitTable(LimitsSettings()), PriceList()
            )
            await ledger.open()
            await ledger.close()
            rows = await database.read(lambda tx: tx.all("SELECT attempt, outcome, cost FROM gateway_attempts"))
            mine = {row[0]: row for row in rows if row[0].startswith(f"{run}-")}
            assert len(mine) >= lines * 3 // 5
            for number in range(len(mine) - 1):  # numbered without gaps; the last one may be at any point
                outcome, cost = mine[f"{run}-{number}"][1:]
                assert (outcome, cost) == (("ok", 5) if number % 3 else ("orphaned", 7))
            begun |= set(mine)
            ended |= {attempt for attempt, row in mine.items() if row[1] == "ok"}
            total = 5 * len(ended) + 7 * (len(begun) - len(ended))
            page = await Reports(database).usage(Query(tenant="acme", since=0, until=4e9))
            assert page.rows[0].cost_nano == total
            shares = await database.read(
                lambda tx: tx.all("SELECT spent FROM gateway_shares WHERE scope = 'tenant:acme' AND period = 'day'")
            )
            assert sum(row[0] for row in shares) == total
