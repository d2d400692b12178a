"""Drill ``noise``, the half in virtual time: years of a noisy world, seen by several rules.

Each contender watches the same scenarios. *Quiet* runs have no outage at all: whatever is said is false. *Outage* runs
have outages of a known length, some hours apart: how soon each was seen, whether at all, and how often it was told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from holdfast.drills.contenders import CONTROL
from holdfast.drills.findings import Findings
from holdfast.drills.noise_rules import AnyTwice, KOfN, SummedCusum
from holdfast.drills.noise_world import (
    DOWN_FAILS,
    YEAR_S,
    Outage,
    Scenario,
    Seen,
    Watcher,
    World,
    outages_every,
    scenario,
)
from holdfast.kernel import Duration
from holdfast.netpulse.core import calibration
from holdfast.netpulse.core.detector import Detector
from holdfast.netpulse.core.incident import Condition
from holdfast.netpulse.core.settings import HttpCheck, MonitorSettings

Maker = Callable[[Scenario], Watcher]
"""A new watcher for a scenario."""

GAP_S: Final = 4 * 3_600.0
"""Mean time between outages: long enough for everything to come to rest."""
LONG_S: Final = 900.0
SHORT_S: Final = 120.0
PARTIAL_FAILS: Final = 0.3
PARTIAL_S: Final = 3_600.0
SLACK_S: Final = 60.0
"""What is said so soon after an outage's end was still about it: probes were on their way."""

DOMAINS: Final[Mapping[str, Sequence[int]]] = {"3": (1, 1, 1), "5": (1, 1, 1, 1, 1), "5-in-3": (3, 1, 1)}
"""Layouts: regions in each failure domain."""
VARIANTS: Final = ("plain", "stuck", "provider", "lossy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A rule and how its probes are sent."""

    name: str
    make: Maker
    confirms: bool = False


@dataclass(slots=True)
class Quiet:
    """A run without any outage."""

    years: float
    false_pages: int
    false_partials: int
    probes: int
    confirmations: int

    @property
    def per_year(self) -> float:
        """False pages of one monitor in a year."""
        return self.false_pages / self.years


@dataclass(slots=True)
class Outages:
    """A run with outages."""

    delays_s: list[float] = field(default_factory=list)
    """From the beginning of each outage that was seen to its page."""
    missed: int = 0
    pages: list[int] = field(default_factory=list)
    """Of each outage."""


def detector(rate: float = 1.0) -> Maker:
    """Ours, calibrated to a rate of false pages a year."""

    def make(of: Scenario) -> Watcher:
        spec = MonitorSettings(http=HttpCheck(url="http://target/"), interval=Duration(of.interval_s))
        return Detector("t/m", calibration.policy_for(spec, default_rate=rate, domains=of.domains), of.domains)

    return make


def contenders(rate: float = 1.0) -> tuple[Contender, ...]:
    """All of them."""
    return (
        Contender(name="holdfast", make=detector(rate), confirms=True),
        Contender(name="holdfast-unconfirmed", make=detector(rate)),
        Contender(name="any-twice", make=lambda of: AnyTwice(of.domains)),
        Contender(name="2-of-n", make=lambda of: KOfN(of.domains, k=2, in_a_row=1)),
        Contender(name="2-of-n-twice", make=lambda of: KOfN(of.domains, k=2, in_a_row=2)),
        Contender(name="majority-twice", make=lambda of: KOfN(of.domains, k=len(of.domains) // 2 + 1, in_a_row=2)),
        Contender(name=CONTROL, make=lambda of: SummedCusum(of.domains, threshold=13.0, interval_s=of.interval_s)),
    )


def quiet(contender: Contender, of: Scenario, *, years: float, seed: str) -> Quiet:
    """Years without an outage."""
    world = World(of, Random(f"{seed}/{of.name}/quiet"), confirm=contender.confirms)
    seen = world.play(contender.make(of), iter(()), until=years * YEAR_S)
    return Quiet(
        years=years,
        false_pages=len(seen.begun()),
        false_partials=len(seen.begun(Condition.PARTIAL)),
        probes=seen.probes,
        confirmations=seen.confirmations,
    )


def outages(
    contender: Contender,
    of: Scenario,
    *,
    count: int,
    length_s: float,
    seed: str,
    fails: float = DOWN_FAILS,
    condition: Condition = Condition.DOWN,
) -> Outages:
    """About ``count`` outages, and how soon ``condition`` was found in each."""
    rng = Random(f"{seed}/{of.name}/outages")
    happened: list[Outage] = []

    def kept() -> Iterator[Outage]:
        for outage in outages_every(GAP_S, length_s, rng, fails=fails):
            happened.append(outage)
            yield outage

    world = World(of, rng, confirm=contender.confirms)
    seen = world.play(contender.make(of), kept(), until=count * (GAP_S + length_s))
    return _judge(seen, happened, condition)


def _judge(seen: Seen, happened: Sequence[Outage], condition: Condition) -> Outages:
    found = Outages()
    begun = iter(seen.begun(condition))
    at = next(begun, None)
    for outage in happened:
        if outage.until + SLACK_S > seen.span_s:
            break
        while at is not None and at < outage.since:
            at = next(begun, None)
        pages = 0
        while at is not None and at < outage.until + SLACK_S:
            if not pages:
                found.delays_s.append(at - outage.since)
            pages += 1
            at = next(begun, None)
        found.pages.append(pages)
        found.missed += not pages
    return found


def play_all(
    found: Findings,
    *,
    seed: int,
    years: float,
    count: int,
    progress: Callable[[str], None],
    rate: float = 1.0,
    interval_s: float = 30.0,
) -> None:
    """Every contender in every scenario, into the findings: series, and the metrics made of them."""
    for contender in contenders(rate):
        for layout, domains in DOMAINS.items():
            for variant in VARIANTS:
                if variant == "provider" and max(domains) == 1:
                    continue
                of = scenario(variant, domains, interval_s=interval_s)
                where = f"{layout}.{variant}".replace("-", "_")
                progress(f"noise: {contender.name}: {layout} regions, {variant}")
                _measure(found, contender, of, where, years=years, count=count, seed=str(seed))
    for layout, domains in DOMAINS.items():
        regions = sum(domains)
        found.parameters[f"bound_s.{layout}"] = calibration.bound_s(rate, interval_s=interval_s, regions=regions)
    found.parameters |= {"false_pages_per_year": rate, "interval_s": interval_s, "years": years, "outages": count}


def _measure(
    found: Findings, contender: Contender, of: Scenario, where: str, *, years: float, count: int, seed: str
) -> None:
    name = contender.name
    calm = quiet(contender, of, years=years, seed=seed)
    found.add(name, f"{where}.false_pages", [calm.false_pages])
    found.add(name, f"{where}.years", [calm.years])
    found.metric(
        name,
        f"{where}.false_pages_per_year",
        f"sum(${where}.false_pages) / sum(${where}.years)",
        unit="1/year",
        better="lower",
    )
    for kind, length_s in (("long", LONG_S), ("short", SHORT_S)):
        hit = outages(contender, of, count=count, length_s=length_s, seed=f"{seed}/{kind}")
        series = f"{where}.{kind}"
        found.add(name, f"{series}.delay_s", hit.delays_s)
        found.add(name, f"{series}.pages", hit.pages)
        found.add(name, f"{series}.missed", [hit.missed])
        found.metric(name, f"{series}.missed", f"sum(${series}.missed)", unit="outages", better="lower")
        found.metric(name, f"{series}.pages_per_outage", f"mean(${series}.pages)", unit="pages", better="lower")
        if hit.delays_s:
            for share in ("mean", "p50", "p95"):
                found.metric(name, f"{series}.delay_{share}_s", f"{share}(${series}.delay_s)", unit="s", better="lower")
