"""Drill ``noise``, scenes of hours in virtual time: what the engine makes of outages, cascades, flapping and cuts.

    outages      single targets of 200 go down, for 2 or 15 minutes, no two at the same time
    flapping     one target answers 200 and 503 in turns, for a day
    cascade      a target goes down, and 49 that depend on it within seconds
    cut          one region's agent sees nothing any more, for 10 minutes, with 200 targets to watch
    maintenance  a window at a wall-clock time that the change to summer time skips

Everywhere, paths lose probes in spells as in the reference world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final

from holdfast.drills.findings import CONTROL, Findings
from holdfast.drills.noise_rules import AnyTwice, KOfN, SummedCusum
from holdfast.drills.noise_stage import RegionChange, Stage
from holdfast.drills.noise_world import Watcher
from holdfast.kernel import Duration
from holdfast.netpulse.core.incident import Condition
from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.core.settings import (
    HttpCheck,
    MaintenanceSettings,
    MonitorSettings,
    NetpulseSettings,
    RegionSettings,
)
from holdfast.netpulse.core.world import World

INTERVAL_S: Final = 30.0
REGIONS: Final[Mapping[str, str]] = {"eu-1": "a", "eu-2": "a", "eu-3": "a", "us": "b", "ap": "c"}
"""Five regions, and their failure domains."""
TARGETS: Final = 200
CASCADE: Final = 50
START: Final = datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()
WARM_UP_S: Final = 300.0
AFTER_S: Final = 300.0
"""A page so soon after the end of an outage was still about it."""
FLAP_S: Final = 180.0
"""Of each answer."""
RULES: Final[Mapping[str, Callable[[Mapping[str, str]], Watcher]]] = {
    "any_twice": AnyTwice,
    "two_of_n_twice": lambda regions: KOfN(regions, k=2, in_a_row=2),
    CONTROL: lambda regions: SummedCusum(regions, threshold=13.0, interval_s=INTERVAL_S),
}


@dataclass(frozen=True, slots=True)
class Down:
    """A target is down."""

    monitor: str
    since: float
    until: float

    def explains(self, monitor: str, at: float) -> bool:
        """Whether a page is about it."""
        return monitor == self.monitor and self.since <= at <= self.until + AFTER_S


def play_scenes(found: Findings, *, seed: int, quick: bool, progress: Callable[[str], None]) -> Iterator[None]:
    """All of them, into the findings. Yields now and then."""
    found.parameters |= {"targets": TARGETS, "regions": len(REGIONS), "domains": len(set(REGIONS.values()))}
    progress("noise: outages of 200 targets")
    yield from _outages(found, Random(f"{seed}/outages"), count=2 if quick else 40)
    progress("noise: flapping")
    yield from _flapping(found, Random(f"{seed}/flapping"), hours=1.0 if quick else 24.0)
    progress("noise: a cascade of 50")
    yield from _cascade(found, Random(f"{seed}/cascade"))
    progress("noise: a region is cut off")
    yield from _cut(found, Random(f"{seed}/cut"))
    progress("noise: maintenance over a change of the clock")
    yield from _maintenance(found, Random(f"{seed}/maintenance"))


def _world(
    count: int,
    *,
    depends_on: Mapping[str, Sequence[str]] | None = None,
    maintenance: Mapping[str, MaintenanceSettings] | None = None,
) -> World:
    monitors = {
        name: MonitorSettings(
            http=HttpCheck(url=f"http://{name}.example/"),
            interval=Duration(INTERVAL_S),
            depends_on=tuple((depends_on or {}).get(name, ())),
        )
        for name in (f"t{number}" for number in range(count))
    }
    return World(
        settings=NetpulseSettings(
            tenant="drill",
            regions={region: RegionSettings(domain=domain) for region, domain in REGIONS.items()},
            monitors=monitors,
            maintenance=dict(maintenance or {}),
        )
    )


def _down(downs: Sequence[Down], failure: Failure = Failure.STATUS) -> Callable[[str, float], Failure | None]:
    by_monitor: dict[str, list[Down]] = {}
    for down in downs:
        by_monitor.setdefault(down.monitor, []).append(down)

    def answer(monitor: str, at: float) -> Failure | None:
        return failure if any(down.since <= at < down.until for down in by_monitor.get(monitor, ())) else None

    return answer


def _pages(stage: Stage) -> dict[str, list[tuple[str, float]]]:
    """By contender: who was paged about, and when. An incident is named by its first member."""
    ours = [
        (told.incident.members[0].monitor, at)
        for told in stage.told()
        if told.incident.condition is not Condition.AGENT
        for at in _told_at(stage, told.incident.id)
    ]
    return {"holdfast": ours, **stage.rule_pages}


def _told_at(stage: Stage, incident: str) -> list[float]:
    tells = {"opened", "reopened", "flapping"}
    return [each.at for each in stage.transitions if each.incident == incident and each.tell in tells]


def _outages(found: Findings, rng: Random, *, count: int) -> Iterator[None]:
    downs = []
    at = START + WARM_UP_S
    for number, target in enumerate(rng.sample(range(TARGETS), count)):
        at += 30.0 + rng.expovariate(1 / 60.0)
        downs.append(Down(f"drill/t{target}", at, at + (120.0 if number % 2 else 900.0)))
    stage = Stage(world=_world(TARGETS), targets=_down(downs), rng=rng, start=START, rules=RULES)
    until = max(down.until for down in downs) + AFTER_S
    yield from stage.play(until)
    found.parameters["outages.hours"] = round((until - START) / 3600, 2)
    for name, pages in _pages(stage).items():
        hits = [[at for monitor, at in pages if down.explains(monitor, at)] for down in downs]
        found.add(name, "outages_causes", [len(downs)])
        found.add(name, "outages_found", [sum(bool(hit) for hit in hits)])
        found.add(name, "outages_pages_of_cause", [len(hit) for hit in hits])
        found.add(name, "outages_delay_s", [hit[0] - down.since for hit, down in zip(hits, downs, strict=True) if hit])
        false = sum(not any(down.explains(monitor, at) for down in downs) for monitor, at in pages)
        found.add(name, "outages_false_pages", [false])
        found.metric(
            name, "outages_recall", "sum($outages_found) / sum($outages_causes)", unit="ratio", better="higher"
        )
        found.metric(
            name, "outages_most_pages_of_a_cause", "max($outages_pages_of_cause)", unit="pages", better="lower"
        )
        found.metric(name, "outages_pages_per_cause", "mean($outages_pages_of_cause)", unit="pages", better="lower")
        found.metric(name, "outages_false_pages", "sum($outages_false_pages)", unit="pages", better="lower")
        for share in ("p50", "p95"):
            found.metric(name, f"outages_delay_{share}_s", f"{share}($outages_delay_s)", unit="s", better="lower")


def _flapping(found: Findings, rng: Random, *, hours: float) -> Iterator[None]:
    since, until = START + WARM_UP_S, START + WARM_UP_S + hours * 3600.0

    def answer(monitor: str, at: float) -> Failure | None:
        flaps = monitor == "drill/t0" and since <= at < until and (at - since) % (2 * FLAP_S) < FLAP_S
        return Failure.STATUS if flaps else None

    stage = Stage(world=_world(2), targets=answer, rng=rng, start=START, rules=RULES)
    yield from stage.play(until + 7 * 3600.0)  # the end is told when damping lets go, at most six hours later
    for name, pages in _pages(stage).items():
        found.add(name, "flapping_pages", [sum(monitor == "drill/t0" for monitor, _ in pages)])
        found.metric(name, "flapping_pages", "sum($flapping_pages)", unit="pages", better="lower")
    ended = all(incident.resolved is not None for incident in stage.incidents.values())
    found.add("holdfast", "flapping_ended", [ended])
    found.metric("holdfast", "flapping_ended", "sum($flapping_ended)", unit="", better="higher")


def _cascade(found: Findings, rng: Random) -> Iterator[None]:
    since = START + WARM_UP_S
    leaves = [f"t{number}" for number in range(1, CASCADE)]
    downs = [Down("drill/t0", since, since + 900.0)]
    downs += [Down(f"drill/{leaf}", since + rng.random() * 5.0, since + 900.0) for leaf in leaves]
    stage = Stage(
        world=_world(CASCADE, depends_on=dict.fromkeys(leaves, ("t0",))),
        targets=_down(downs),
        rng=rng,
        start=START,
        rules=RULES,
    )
    yield from stage.play(since + 900.0 + AFTER_S)
    for name, pages in _pages(stage).items():
        found.add(name, "cascade_pages", [len(pages)])
        found.metric(name, "cascade_pages", "sum($cascade_pages)", unit="pages", better="lower")
    found.add("holdfast", "cascade_members", [len(told.incident.members) for told in stage.told()])
    found.metric("holdfast", "cascade_members", "max($cascade_members)", unit="monitors", better="higher")


def _cut(found: Findings, rng: Random) -> Iterator[None]:
    since, region = START + WARM_UP_S, "us"
    changes = (
        # Canaries are asked as soon as probes fail, and failures before that are in doubt as well.
        RegionChange(at=since, region=region, state="blind", reason="no canary answers"),
        RegionChange(at=since + 600.0, region=region, state="seeing"),
    )
    stage = Stage(world=_world(TARGETS), targets=_down(()), rng=rng, start=START, changes=changes, rules=RULES)
    yield from stage.play(since + 600.0 + AFTER_S)
    for name, pages in _pages(stage).items():
        found.add(name, "cut_target_pages", [len(pages)])
        found.metric(name, "cut_target_pages", "sum($cut_target_pages)", unit="pages", better="lower")
    agents = [told.pages for told in stage.told() if told.incident.condition is Condition.AGENT]
    found.add("holdfast", "cut_agent_pages", [sum(agents)])
    found.metric("holdfast", "cut_agent_pages", "sum($cut_agent_pages)", unit="pages", better="neither")


def _maintenance(found: Findings, rng: Random) -> Iterator[None]:
    # Every night at 02:30 in Berlin; on the 29th of March 2026 there is no 02:30, and RFC 5545 has it begin at 03:30
    # summer time, which is 01:30 UTC. The window of the next night begins at 02:30 summer time, 00:30 UTC.
    window = MaintenanceSettings(
        start="2026-03-27T02:30", duration=Duration(3600.0), timezone="Europe/Berlin", rrule="FREQ=DAILY"
    )
    first = datetime(2026, 3, 29, 1, 30, tzinfo=UTC).timestamp()
    second = datetime(2026, 3, 30, 0, 30, tzinfo=UTC).timestamp()
    quiet = [Down("drill/t0", opens + 300.0, opens + 1500.0) for opens in (first, second)]
    told = [
        Down("drill/t1", first + 3000.0, first + 4800.0),  # still down when the window ends
        Down("drill/t2", first - 1500.0, first - 600.0),  # before the window; within it, were 02:30 still winter time
        Down("drill/t3", second + 3900.0, second + 4800.0),  # after it; within it, were it still winter time
    ]
    stage = Stage(
        world=_world(5, maintenance={"nightly": window}),
        targets=_down([*quiet, *told]),
        rng=rng,
        start=first - 7200.0,
        rules=RULES,
    )
    yield from stage.play(second + 7200.0)
    for name, pages in _pages(stage).items():
        wrong = sum(not any(down.explains(monitor, at) for down in told) for monitor, at in pages)
        hits = [sum(down.explains(monitor, at) for monitor, at in pages) for down in told]
        found.add(name, "maintenance_wrong_pages", [wrong])
        found.add(name, "maintenance_pages_of_cause", hits)
        found.metric(name, "maintenance_wrong_pages", "sum($maintenance_wrong_pages)", unit="pages", better="lower")
        for share in ("min", "max"):
            found.metric(
                name,
                f"maintenance_{share}_pages_of_cause",
                f"{share}($maintenance_pages_of_cause)",
                unit="pages",
                better="neither",
            )


def judge_scenes(found: Findings) -> None:
    """What the scenes claim."""
    found.claim("every outage is told of", "holdfast.outages_recall", "==", 1, in_quick=True)
    found.claim("one page per cause", "holdfast.outages_most_pages_of_a_cause", "<=", 1, in_quick=True)
    found.claim("no other page about 200 targets", "holdfast.outages_false_pages", "<=", 0, in_quick=True)
    found.claim("a day of flapping: at most two pages", "holdfast.flapping_pages", "<=", 2, in_quick=True)
    found.claim("flapping ends, and that is told", "holdfast.flapping_ended", "==", 1, in_quick=True)
    found.claim("a cascade of fifty: one page", "holdfast.cascade_pages", "==", 1, in_quick=True)
    found.claim("... with fifty members", "holdfast.cascade_members", "==", CASCADE, in_quick=True)
    found.claim("a region cut off: no page about targets", "holdfast.cut_target_pages", "<=", 0, in_quick=True)
    found.claim("... and one about its agent", "holdfast.cut_agent_pages", "==", 1, in_quick=True)
    found.claim("maintenance: silent within the window", "holdfast.maintenance_wrong_pages", "<=", 0, in_quick=True)
    found.claim(
        "... one page for each cause outside it", "holdfast.maintenance_min_pages_of_cause", ">=", 1, in_quick=True
    )
    found.claim("... and not more", "holdfast.maintenance_max_pages_of_cause", "<=", 1, in_quick=True)
