"""Drill ``noise``, the half in virtual time: years of a noisy world, seen by several rules.

Each contender watches the same scenarios. *Quiet* runs have no outage at all: whatever is said is false. *Outage* runs
have outages of a known length, some hours apart: how soon each was seen, whether at all, and how often it was told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from holdfast.drills.findings import CONTROL, Findings
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
from holdfast.netpulse.core.filter import BAD_FAILS, BAD_SHARE, GOOD_FAILS
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

DOMAINS: Final[Mapping[str, Sequence[int]]] = {
    "n1": (1,),
    "n3": (1, 1, 1),
    "n5": (1, 1, 1, 1, 1),
    "n5in3": (3, 1, 1),
}
"""Layouts: regions in each failure domain."""
SCENES: Final = (
    ("n1", "plain", 4.0),
    ("n3", "plain", 4.0),
    ("n5", "plain", 2.0),
    ("n5in3", "plain", 2.0),
    ("n3", "stuck", 3.0),
    ("n5in3", "stuck", 3.0),
    ("n5in3", "provider", 2.5),
    ("n5in3", "lossy", 2.0),
)
"""Layout, variant, and monitor-years of a full run: what fits into minutes, for a simulated year takes 5 to 35 s."""
PARTIAL_IN: Final = ("n3", "n5in3")
TARGET_YEARS: Final = 0.1
"""Of one simulated target, then another takes its place: long enough to learn a lossy path, which takes a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A rule and how its probes are sent."""

    name: str
    make: Maker
    confirms: bool = False
    partial: Condition = Condition.DOWN
    """What it says when a part of the probes fails."""
    share: float = 1.0
    """Of the years: a rule that pages daily shows its rate in weeks."""


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
    partial = Condition.PARTIAL
    return (
        Contender(name="holdfast", make=detector(rate), confirms=True, partial=partial),
        Contender(name="unconfirmed", make=detector(rate), partial=partial, share=0.03),
        Contender(name="any_twice", make=lambda of: AnyTwice(of.domains), share=0.02),
        Contender(name="two_of_n", make=lambda of: KOfN(of.domains, k=min(2, len(of.domains)), in_a_row=1), share=0.1),
        Contender(
            name="two_of_n_twice", make=lambda of: KOfN(of.domains, k=min(2, len(of.domains)), in_a_row=2), share=0.3
        ),
        Contender(
            name="majority_twice", make=lambda of: KOfN(of.domains, k=len(of.domains) // 2 + 1, in_a_row=2), share=0.5
        ),
        Contender(
            name=CONTROL,
            make=lambda of: SummedCusum(of.domains, threshold=13.0, interval_s=of.interval_s),
            share=0.05,
        ),
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
    scale: float,
    count: int,
    progress: Callable[[str], None],
    rate: float = 1.0,
    interval_s: float = 30.0,
) -> Iterator[None]:
    """Every contender in every scenario, into the findings: series, and the metrics made of them.

    Yields now and then, so that whoever plays it can be interrupted. ``scale`` is the part of the years of
    :data:`SCENES` that is played, ``count`` the number of outages of each kind.
    """
    found.parameters |= {"false_pages_per_year": rate, "interval_s": interval_s, "outages": count}
    found.parameters["years"] = round(scale * sum(years for _, _, years in SCENES), 3)
    for contender in contenders(rate):
        for layout, variant, years in SCENES:
            of = scenario(variant, DOMAINS[layout], interval_s=interval_s)
            progress(f"noise: {contender.name}: {layout}, {variant}")
            where = f"{layout}_{variant}"
            years_played = years * scale * contender.share
            yield from _measure_quiet(found, contender, of, where, years=years_played, seed=str(seed))
            yield from _measure_outages(found, contender, of, where, count=count, seed=str(seed))
            _compare(found, contender.name, where, bound_s=_bound_s(found, layout, rate, interval_s))
        for layout in PARTIAL_IN:
            of = scenario("plain", DOMAINS[layout], interval_s=interval_s)
            yield from _measure_partial(found, contender, of, f"{layout}_partial", count=count, seed=str(seed))
            bound_s = partial_bound_s(rate, interval_s=interval_s, regions=sum(DOMAINS[layout]))
            found.parameters[f"bound_s.{layout}_partial"] = bound_s
            if contender.partial is Condition.PARTIAL:
                _ratio(found, contender.name, f"{layout}_partial_delay", bound_s)


def partial_bound_s(rate: float, *, interval_s: float, regions: int) -> float:
    """As :func:`.calibration.bound_s`, for an outage that only a part of the probes meets."""
    up = GOOD_FAILS + (BAD_FAILS - GOOD_FAILS) * BAD_SHARE
    part = PARTIAL_FAILS * math.log(PARTIAL_FAILS / up) + (1 - PARTIAL_FAILS) * math.log((1 - PARTIAL_FAILS) / (1 - up))
    whole = calibration.information()
    return calibration.bound_s(rate, interval_s=interval_s, regions=regions) * whole / part


def _bound_s(found: Findings, layout: str, rate: float, interval_s: float) -> float:
    bound_s = calibration.bound_s(rate, interval_s=interval_s, regions=sum(DOMAINS[layout]))
    found.parameters[f"bound_s.{layout}"] = bound_s
    return bound_s


def _measure_quiet(
    found: Findings, contender: Contender, of: Scenario, where: str, *, years: float, seed: str
) -> Iterator[None]:
    """In stretches of at most :data:`TARGET_YEARS`, each a target of its own that begins with nothing learned."""
    targets = max(1, round(years / TARGET_YEARS))
    calm = []
    for number in range(targets):
        calm.append(quiet(contender, of, years=years / targets, seed=f"{seed}/{number}"))
        yield
    name = contender.name
    found.add(name, f"{where}_false_pages", [each.false_pages for each in calm])
    found.add(name, f"{where}_false_partials", [each.false_partials for each in calm])
    found.add(name, f"{where}_years", [each.years for each in calm])
    for kind in ("pages", "partials"):
        found.metric(
            name,
            f"{where}_false_{kind}_per_year",
            f"sum(${where}_false_{kind}) / sum(${where}_years)",
            unit="1/year",
            better="lower",
        )


def _measure_outages(
    found: Findings, contender: Contender, of: Scenario, where: str, *, count: int, seed: str
) -> Iterator[None]:
    for kind, length_s in (("long", LONG_S), ("short", SHORT_S)):
        hit = outages(contender, of, count=count, length_s=length_s, seed=f"{seed}/{kind}")
        _keep(found, contender.name, f"{where}_{kind}", hit)
        yield


def _measure_partial(
    found: Findings, contender: Contender, of: Scenario, where: str, *, count: int, seed: str
) -> Iterator[None]:
    hit = outages(
        contender,
        of,
        count=max(4, count // 4),
        length_s=PARTIAL_S,
        seed=f"{seed}/partial",
        fails=PARTIAL_FAILS,
        condition=contender.partial,
    )
    _keep(found, contender.name, where, hit)
    yield


def _keep(found: Findings, name: str, series: str, hit: Outages) -> None:
    found.add(name, f"{series}_delay_s", hit.delays_s)
    found.add(name, f"{series}_pages", hit.pages)
    found.add(name, f"{series}_missed", [hit.missed])
    found.metric(name, f"{series}_missed", f"sum(${series}_missed)", unit="outages", better="lower")
    found.metric(name, f"{series}_pages_per_outage", f"mean(${series}_pages)", unit="pages", better="lower")
    for share in ("mean", "p50", "p95"):
        found.metric(name, f"{series}_delay_{share}_s", f"{share}(${series}_delay_s)", unit="s", better="lower")


def _compare(found: Findings, name: str, where: str, *, bound_s: float) -> None:
    """The mean delay of long outages, as a multiple of the bound."""
    _ratio(found, name, f"{where}_long_delay", bound_s)


def _ratio(found: Findings, name: str, series: str, bound_s: float) -> None:
    found.metric(name, f"{series}_against_bound", f"mean(${series}_s) / {bound_s!r}", unit="ratio", better="lower")


def judge(found: Findings, *, rate: float = 1.0) -> None:
    """What the virtual half claims. ``rate``: the stated one."""
    for layout, variant, _ in SCENES:
        where = f"{layout}_{variant}"
        found.claim(
            f"{where}: false pages at most 1.5 times the stated rate",
            f"holdfast.{where}_false_pages_per_year",
            "<=",
            1.5 * rate,
        )
        found.claim(
            f"{where}: delay within 1.5 times the bound", f"holdfast.{where}_long_delay_against_bound", "<=", 1.5
        )
        if variant == "plain":
            found.claim(
                f"{where}: the same without confirmations", f"unconfirmed.{where}_long_delay_against_bound", "<=", 1.5
            )
        for kind in ("long", "short"):
            found.claim(f"{where}: every {kind} outage is seen", f"holdfast.{where}_{kind}_missed", "<=", 0)
    for layout in PARTIAL_IN:
        where = f"{layout}_partial"
        found.claim(f"{where}: every partial outage is seen", f"holdfast.{where}_missed", "<=", 0)
        found.claim(f"{where}: delay within 1.5 times the bound", f"holdfast.{where}_delay_against_bound", "<=", 1.5)
    found.claim(
        "three regions, every 30 s: half of the outages are seen within 10 s",
        "holdfast.n3_plain_long_delay_p50_s",
        "<",
        10,
        in_quick=True,
    )
