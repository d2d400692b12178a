"""Records, their clock, and short ways to say what tests say often."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from holdfast.netpulse.core.incident import (
    Cause,
    Condition,
    Decisions,
    Incident,
    Member,
    Notice,
    State,
    Transition,
)
from holdfast.netpulse.core.result import Failure, Observation, Outcome, Phases
from holdfast.netpulse.core.settings import RetentionSettings
from holdfast.netpulse.shell.records import NetpulseRecords

if TYPE_CHECKING:
    from holdfast.netpulse.core.ports import Taken
    from holdfast.store import Database

START: Final = 1_790_000_040.0
"""A whole minute, and no whole hour."""


def seen(at: float = START, monitor: str = "t/web", region: str = "eu", **fields: Any) -> Observation:
    """A check that found its target up."""
    values: dict[str, Any] = {
        "domain": "aws",
        "agent": f"{region}-1",
        "received": at + 0.5,
        "outcome": Outcome.UP,
        "failure": Failure.NONE,
        "total_ms": 120.0,
        "phases": Phases(connect=10.0, first_byte=100.0),
        "status": 200,
        "address": "192.0.2.1",
    }
    return Observation(monitor=monitor, region=region, at=at, **values | fields)


def down(at: float = START, monitor: str = "t/web", region: str = "eu", **fields: Any) -> Observation:
    """A check that did not."""
    values = {"outcome": Outcome.DOWN, "failure": Failure.REFUSED, "status": 0, "phases": Phases(), "total_ms": 3.0}
    return seen(at, monitor, region, **values | fields)


def incident(number: int = 1, **fields: Any) -> Incident:
    """One that was just opened."""
    values: dict[str, Any] = {
        "id": f"inc_{number:026d}",
        "tenant": "t",
        "state": State.OPEN,
        "condition": Condition.DOWN,
        "severity": "page",
        "title": "web is down",
        "cause": Cause(kind="host", value="web"),
        "members": (
            Member(monitor="t/web", condition=Condition.DOWN, began=START, joined=START, evidence={"sum": [{"a": 1}]}),
        ),
        "began": START,
        "detected": START,
        "opened": START,
        "revision": 1,
    }
    return Incident(**values | fields)


def step(of: Incident, number: int | None = None, **fields: Any) -> Transition:
    """The transition that led to it."""
    values: dict[str, Any] = {
        "incident": of.id,
        "number": of.revision if number is None else number,
        "at": START,
        "rule": "incident.open",
        "before": None,
        "after": of.state,
        "evidence": {"threshold": 13.0, "domains": [{"aws": 6.5}]},
    }
    return Transition(**values | fields)


def notice(of: Incident, event: str = "opened", channel: str = "pager", **fields: Any) -> Notice:
    """Of an incident."""
    values: dict[str, Any] = {
        "key": f"{of.id}/{of.revision}/{event}/{channel}",
        "incident": of.id,
        "tenant": of.tenant,
        "channel": channel,
        "event": event,
        "at": START,
        "not_before": START,
        "snapshot": of,
    }
    return Notice(**values | fields)


def decided(of: Incident, *notices: Notice, **fields: Any) -> Decisions:
    """An incident with its last transition."""
    return Decisions(incidents=(of,), transitions=(step(of),), notices=notices, **fields)


def after(of: Incident, state: State, **fields: Any) -> Incident:
    """Its next revision."""
    return replace(of, state=state, revision=of.revision + 1, **fields)


@dataclass
class World:
    """Everything happens at ``now``, which only tests move."""

    database: Database
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    now: float = START

    def __post_init__(self) -> None:
        self.records = self.engine()

    def engine(self) -> NetpulseRecords:
        """Another engine on the same store, yet to be opened."""
        return NetpulseRecords(self.database, self.retention, rng=Random(1))

    async def take(self, *batch: Observation, first: int = 1, agent: str = "eu-1", spool: str = "s") -> Taken:
        return await self.records.take(batch, agent=agent, spool=spool, first=first, upto=first + len(batch) - 1)

    async def stored(self) -> int:
        return await self.rows_of("results")

    async def rows_of(self, table: str) -> int:
        row = await self.database.read(lambda tx: tx.one(f"SELECT count(*) FROM netpulse_{table}"))
        assert row is not None
        return int(row[0])
