"""The books after the chaos: what agents had put on disk, beside what the engine's store has of it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.drills.watch_service import WatchService

RESULTS = """
    SELECT s.name, r.monitor, r.at, count(*) FROM netpulse_results r JOIN netpulse_names s ON s.id = r.source
    GROUP BY s.name, r.monitor, r.at, r.total, r.what, r.figures"""
"""A confirmation may begin within the millisecond of the check before it: they differ in what they saw."""
ROLLED_UP = "SELECT coalesce(sum(up + down + unknown), 0) FROM netpulse_{size}"
NOT_SENT = "SELECT count(*) FROM netpulse_notices WHERE state = 'waiting'"
NOTICES = "SELECT key, state, error FROM netpulse_notices"
LEFT = "SELECT stored - rolled FROM netpulse_engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """What a spool file says of itself."""

    numbered: int
    """Results that were ever committed in it: numbers have no gaps."""
    dropped: int
    waiting: int
    """Results without a receipt that was written down."""


def read_spool(file: Path) -> Spool:
    """Of an agent that does not run. The file is not changed; one that died before it made it has nothing."""
    if not file.exists():
        return Spool(numbered=0, dropped=0, waiting=0)
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as link:
        following, dropped = link.execute("SELECT next, dropped FROM spool").fetchone()
        (waiting,) = link.execute("SELECT coalesce(sum(last - first + 1), 0) FROM groups").fetchone()
    return Spool(numbered=following - 1, dropped=dropped, waiting=waiting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Results, as each side counts them."""

    spooled: int
    """Committed by agents."""
    stored: int
    """Different ones that the engine has: by monitor, agent, the millisecond of their beginning, and what was seen."""
    lost: int
    twice: int
    rolled_up: Mapping[str, int]
    """By size: what the sums over minutes, hours and days say that there were."""


def balance(spooled: Mapping[str, int], rows: Sequence[tuple[Any, ...]], rolled_up: Mapping[str, int]) -> Books:
    """By agent, so that what one lost is not made up for by what another has twice.

    ``rows``: source (JSON: region, domain, agent), monitor, milliseconds, count of those that are alike in all.
    """
    different: Counter[str] = Counter()
    twice = 0
    for source, _, _, count in rows:
        different[json.loads(source)[2]] += 1
        twice += count - 1
    lost = 0
    for agent, numbered in spooled.items():
        lost += max(0, numbered - different[agent])
        twice += max(0, different[agent] - numbered)  # more than it ever had
    return Books(
        spooled=sum(spooled.values()), stored=different.total(), lost=lost, twice=twice, rolled_up=dict(rolled_up)
    )


async def open_books(service: WatchService, spooled: Mapping[str, int]) -> Books:
    """Of a service whose agents have ended."""
    rows = await service.rows(RESULTS)
    rolled_up = {}
    for size in ("minutes", "hours", "days"):
        ((count,),) = await service.rows(ROLLED_UP.format(size=size))
        rolled_up[size] = int(count)
    return balance(spooled, rows, rolled_up)
