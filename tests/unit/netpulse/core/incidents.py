"""A book with a clock that the test turns, and everything that it decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

import msgspec

from holdfast.kernel import Duration
from holdfast.netpulse.core.book import Book, Surroundings, Watched
from holdfast.netpulse.core.incident import Condition, Decisions, Incident, Span, State, Transition
from holdfast.netpulse.core.ports import Silence
from holdfast.netpulse.core.result import Failure, Observation, Outcome
from holdfast.netpulse.core.settings import IncidentSettings, MaintenanceSettings
from holdfast.netpulse.core.signal import Signal

START = 1_800_000_000.0
"""2027-01-15 08:00 UTC."""


def watched(id: str, *parents: str, tenant: str = "t", severity: str = "page", **labels: str) -> Watched:
    return Watched(
        monitor=f"{tenant}/{id}",
        tenant=tenant,
        name=id,
        severity=severity,
        depends_on=tuple(f"{tenant}/{parent}" for parent in parents),
        labels={"monitor": id, "severity": severity, **labels},
        regions=("ap", "eu", "us"),
    )


def silence(id: str, *, ends: float, tenant: str = "t", **match: str) -> Silence:
    return Silence(id=id, tenant=tenant, match=match, starts=START, ends=ends, comment="", created_by="ann")


class Desk:
    """A book, driven by hand."""

    def __init__(self, monitors: Iterable[Watched], settings: IncidentSettings | None = None) -> None:
        self.now = START
        self.monitors = {monitor.monitor: monitor for monitor in monitors}
        self.settings = settings or IncidentSettings()
        self.silences: list[Silence] = []
        self.windows: dict[str, MaintenanceSettings] = {}
        self.blind = ""
        self.incidents: dict[str, Incident] = {}
        self.transitions: list[Transition] = []
        self.spans: dict[tuple[str, str, float], Span] = {}
        self.wanted: list[str] = []
        self._ids = count(1)
        self.book = self.new_book()
        self.configure()

    def new_book(self) -> Book:
        return Book(new_id=lambda _: f"inc_{next(self._ids):04}")

    def configure(self) -> Decisions:
        around = Surroundings(
            watched=dict(self.monitors),
            settings=self.settings,
            maintenance={"t": self.windows},
            silences=tuple(self.silences),
            blind=self.blind,
        )
        return self.keep(self.book.configure(around, self.now))

    def maintain(self, id: str, seconds: float, match: Mapping[str, str] | None = None) -> None:
        """A window that begins at the next full minute."""
        self.windows[id] = MaintenanceSettings(
            start="2027-01-15T08:01", duration=Duration(seconds), match=dict(match or {})
        )
        self.configure()

    def keep(self, decisions: Decisions) -> Decisions:
        for incident in decisions.incidents:
            self.incidents[incident.id] = incident
        for span in decisions.spans:
            self.spans[span.monitor, span.kind, span.since] = span
        msgspec.json.encode(decisions.transitions)  # figures are written down: none may be more than a number
        self.transitions += decisions.transitions
        self.wanted += [wanted.monitor for wanted in decisions.wanted]
        return decisions

    def signal(self, id: str, active: bool, condition: Condition = Condition.DOWN, *, began: float = 0.0) -> Signal:
        return Signal(
            monitor=id if "/" in id else f"t/{id}",
            condition=condition,
            active=active,
            at=self.now,
            began=began or self.now - 5,
            rule="detector.alarm" if active else "detector.recovered",
            evidence={"sum": 13.2, "threshold": 13.0},
        )

    def fail(self, *ids: str, condition: Condition = Condition.DOWN) -> Decisions:
        return self.keep(self.book.signals([self.signal(id, True, condition) for id in ids], self.now))

    def recover(self, *ids: str, condition: Condition = Condition.DOWN) -> Decisions:
        return self.keep(self.book.signals([self.signal(id, False, condition) for id in ids], self.now))

    def answer(self, *ids: str, up: bool = True) -> None:
        """A fresh check of each, then whatever is due."""
        for id in ids:
            self.book.observed(
                Observation(
                    monitor=f"t/{id}",
                    region="eu",
                    domain="a",
                    agent="eu-1",
                    at=self.now,
                    received=self.now,
                    outcome=Outcome.UP if up else Outcome.DOWN,
                    failure=Failure.NONE if up else Failure.TIMEOUT,
                    total_ms=10.0,
                )
            )
        self.wait(0)

    def wait(self, seconds: float) -> None:
        """Let time pass, and tick whenever the book asked for it."""
        until = self.now + seconds
        for _ in range(10_000):
            due = self.book.due()
            if due is None or due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            self.keep(self.book.tick(self.now))
        raise AssertionError(f"the book asks for ticks without end: due {due} at {self.now}")

    def tell(self) -> list[str]:
        """What was told, in order."""
        return [transition.tell for transition in self.transitions if transition.tell]

    def rules(self) -> list[str]:
        return [transition.rule.removeprefix("incident.") for transition in self.transitions]

    def only(self) -> Incident:
        (incident,) = self.incidents.values()
        return incident

    def standing(self) -> list[Incident]:
        return [incident for incident in self.incidents.values() if incident.state is not State.RESOLVED]

    def lengths(self, id: str, kind: str) -> list[tuple[float, float | None]]:
        """Spans of a monitor, as seconds since the start."""
        return [
            (span.since - START, None if span.until is None else span.until - START)
            for span in self.spans.values()
            if span.monitor == f"t/{id}" and span.kind == kind
        ]
