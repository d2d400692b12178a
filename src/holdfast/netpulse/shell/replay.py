"""History out of the records, without touching them: the engine that runs goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from holdfast.netpulse.core.incident import Incident, Transition
from holdfast.netpulse.core.replay import Pair, Played, compared, play, told_of
from holdfast.netpulse.core.result import Observation
from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.netpulse.core.world import World
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.records import NetpulseRecords
from holdfast.netpulse.shell.records.results import between
from holdfast.store import Database, StoreError, StoreSettings, Tx, open_database

_PAGE: Final = 5000
_DAY_S: Final = 86_400.0
_PAGES: Final = 100
"""Most incidents of history that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What was, what would be, and what differs."""

    played: Played
    then: int
    """Messages that were decided."""
    now: int
    pairs: Sequence[Pair]


async def replay(settings: NetpulseSettings, history: StoreSettings, *, days: float) -> Replay:
    """Play the last days of a store through a configuration.

    Raises :class:`~..errors.Invalid` when the store holds no results of monitors in the configuration.
    """
    if history.url.startswith("sqlite:") and not Path(history.url.removeprefix("sqlite:")).exists():  # noqa: ASYNC240
        raise Invalid(f"{history.url}: no such store; name that of the engine whose history it is")
    database = await open_database(history)
    try:
        seen = await _results(database, days)
        world = World(settings)
        known = [[each for each in page if each.monitor in world.entries] for page in seen]
        if not any(known):
            raise Invalid(
                f"no results of the configuration's monitors in the last {days:g} days of {history.url}; "
                "name the store of the engine that watched them, and keep the tenant"
            )
        played = play(world, known, rng=Random(0))
        records = NetpulseRecords(database, settings.retention, rng=Random(0))
        incidents, transitions = await _incidents(records, settings.tenant, played.since)
        watched = set(world.entries)
        incidents = [each for each in incidents if any(member.monitor in watched for member in each.members)]
        then = told_of(incidents, transitions)
        now = played.told()
        return Replay(
            played=played,
            then=sum(told.pages for told in then),
            now=sum(told.pages for told in now),
            pairs=compared(then, now),
        )
    finally:
        await database.close()


async def _results(database: Database, days: float) -> list[Sequence[Observation]]:
    def last(tx: Tx) -> int:
        row = tx.one("SELECT stored FROM netpulse_engine")
        return int(row[0]) if row is not None else 0

    try:
        upto = await database.read(last)
    except StoreError as error:
        raise Invalid(f"the store has no history of NetPulse: {error}") from error
    pages: list[Sequence[Observation]] = []
    oldest: float | None = None
    while upto > 0:
        page = await database.read(partial(between, after=upto - _PAGE, upto=upto), deadline_s=60.0)
        if not page:
            break
        newest = page[-1].received if oldest is None else oldest
        oldest = newest
        pages.append([each for each in page if each.received >= newest - days * _DAY_S])
        if len(pages[-1]) < len(page):
            break
        upto -= _PAGE
    return pages[::-1]


async def _incidents(records: NetpulseRecords, tenant: str, since: float) -> tuple[list[Incident], list[Transition]]:
    found: list[Incident] = []
    before: str | None = None
    while True:
        page = await records.incidents(tenant, limit=_PAGES, before=before)
        found += [incident for incident in page if (incident.resolved or float("inf")) >= since]
        if len(page) < _PAGES or page[-1].detected < since - 30 * _DAY_S:
            break
        before = page[-1].id
    transitions: list[Transition] = []
    for incident in found:
        transitions += [each for each in await records.timeline(incident.id) if each.at >= since]
    return found, transitions
