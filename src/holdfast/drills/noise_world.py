"""A simulated world: one target, regions that probe it, and paths between them that lose probes in spells.

Pure: no clock, chance is passed in. Years pass in seconds, because stretches in which every probe succeeds and the
watcher rests are skipped. The skip is exact, not an approximation: the times of all failures are drawn first (a
geometric number of probes to the next lone failure, an exponential time to the next spell of loss, both memoryless),
and a watcher says itself when it rests and takes the skipped successes as a count.

Paths are those of Gilbert (1960) and Elliott (1963), in continuous time: the same as a chain per probe when probes
come every 30 s, and still meaningful for confirmations seconds apart.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from holdfast.netpulse.core.incident import Condition
from holdfast.netpulse.core.result import Failure, Observation, Outcome
from holdfast.netpulse.core.signal import Signal

if TYPE_CHECKING:
    from random import Random

YEAR_S: Final = 365.25 * 86_400.0
DOWN_FAILS: Final = 0.99
LOOK_S: Final = 5.0
"""How often a watcher that is suspicious is asked for confirmations though nothing new came."""
MIX_PER_S: Final = -math.log((0.75 - 0.002) / (1 - 0.002)) / 30.0
"""How fast good and bad mix: a spell goes on to the next probe, 30 s later, with 0.75."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathModel:
    """How a path loses probes."""

    good_fails: float = 0.002
    bad_fails: float = 0.9
    bad_share: float = 0.002
    stuck: bool = False
    """Every probe fails."""
    shares: str = ""
    """Paths that name the same provider have their spells in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The target itself fails: always (``fails`` 0.99), or a part of the probes."""

    since: float
    until: float
    fails: float = DOWN_FAILS


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A target and who watches it."""

    name: str
    domains: Mapping[str, str]
    """Failure domain of each region, as far as the watcher knows."""
    paths: Mapping[str, PathModel]
    interval_s: float = 30.0
    success_s: float = 0.1
    """How long a probe takes that succeeds."""
    failure_s: float = 0.1
    """How long one takes that fails: refused at once, or a timeout."""


class Watcher(Protocol):
    """What decides by results: a detector, or a rule it is compared with."""

    @property
    def suspicious(self) -> bool:
        """Whether confirmations may be wanted without anything new."""
        ...

    @property
    def calm(self) -> bool:
        """Further successes would change nothing but counts."""
        ...

    def observe(self, seen: Observation) -> Sequence[Signal]:
        """Take in one result; what it begins or ends."""
        ...

    def skip(self, region: str, successes: int, until: float) -> None:
        """So many successes at once, the last at ``until``; only asked for while calm."""
        ...

    def confirmations(self, now: float) -> Sequence[str]:
        """Regions that ought to probe at once; they count as asked."""
        ...


@dataclass(slots=True)
class Seen:
    """What became of a run."""

    span_s: float = 0.0
    """Virtual time."""
    probes: int = 0
    confirmations: int = 0
    signals: list[Signal] = field(default_factory=list)

    def begun(self, condition: Condition = Condition.DOWN) -> list[float]:
        """When the condition was found to begin."""
        return [signal.at for signal in self.signals if signal.active and signal.condition is condition]


class Spells:
    """One path's, or one provider's, alternation of good and bad."""

    __slots__ = ("_rng", "_share", "bad", "switch")

    def __init__(self, share: float, rng: Random, *, start: float = 0.0) -> None:
        self._share = share
        self._rng = rng
        self.bad = False
        self.switch = start
        self._draw(start)

    def _draw(self, at: float) -> None:
        rate = MIX_PER_S * ((1.0 - self._share) if self.bad else self._share)
        self.switch = at + self._rng.expovariate(rate) if rate > 0.0 else math.inf

    def at(self, now: float) -> bool:
        """Whether it is bad; ``now`` never goes back."""
        while now >= self.switch:
            self.bad = not self.bad
            self._draw(self.switch)
        return self.bad


class World:
    """One monitor's world, played from time 0 on."""

    def __init__(self, scenario: Scenario, rng: Random, *, confirm: bool) -> None:
        self._scenario = scenario
        self._rng = rng
        self._confirm = confirm
        self._names = tuple(scenario.paths)
        shared: dict[str, Spells] = {}
        self._spells: dict[str, Spells] = {}
        for name, model in scenario.paths.items():
            spells = shared.get(model.shares) if model.shares else None
            if spells is None:
                spells = Spells(model.bad_share, rng)
                if model.shares:
                    shared[model.shares] = spells
            self._spells[name] = spells
        # Staggered: the regions' probes are evenly spread over the interval.
        step = scenario.interval_s / len(self._names)
        self._due = {name: (number + rng.random() * 0.01) * step for number, name in enumerate(self._names)}

    def play(self, watcher: Watcher, outages: Iterator[Outage], *, until: float) -> Seen:
        """Everything up to ``until``. Outages are in order and do not overlap."""
        seen = Seen()
        outage = next(outages, None)
        # (time of completion, number, region, start, failed, confirmation)
        flight: list[tuple[float, int, str, float, bool, bool]] = []
        number = 0
        looking = False
        due, interval = self._due, self._scenario.interval_s
        while True:
            region = min(due, key=due.__getitem__)
            start = due[region]
            if flight and flight[0][0] <= start:
                ended, _, region, began, failed, confirm = heapq.heappop(flight)
                if region:
                    seen.signals.extend(watcher.observe(self._result(region, began, ended, failed, confirm)))
                else:
                    looking = False
                if self._confirm and not watcher.calm:
                    if not looking and watcher.suspicious:
                        looking = True
                        number += 1
                        heapq.heappush(flight, (ended + LOOK_S, number, "", ended, False, False))
                    for wanted in watcher.confirmations(ended):
                        number += 1
                        seen.confirmations += 1
                        heapq.heappush(flight, self._probe(wanted, ended + 0.2, number, outage, confirm=True))
                continue
            if start >= until:
                break
            while outage is not None and start >= outage.until:
                outage = next(outages, None)
            if not flight and watcher.calm and (outage is None or start < outage.since):
                horizon = min(until, math.inf if outage is None else outage.since)
                seen.probes += self._skip(watcher, horizon)
                region = min(due, key=due.__getitem__)
                start = due[region]
                if start >= horizon:
                    continue
                number += 1
                seen.probes += 1
                due[region] = start + interval
                # A lone failure, or the first probe in a spell: what the skip ended at.
                heapq.heappush(flight, self._after_skip(region, start, number, outage))
                continue
            number += 1
            seen.probes += 1
            due[region] = start + interval
            heapq.heappush(flight, self._probe(region, start, number, outage, confirm=False))
        seen.span_s = until
        return seen

    # -- one probe ----------------------------------------------------------------------------------

    def _probe(
        self, region: str, start: float, number: int, outage: Outage | None, *, confirm: bool
    ) -> tuple[float, int, str, float, bool, bool]:
        model = self._scenario.paths[region]
        bad = self._spells[region].at(start)
        fails = 1.0 if model.stuck else model.bad_fails if bad else model.good_fails
        if outage is not None and outage.since <= start < outage.until:
            fails = max(fails, outage.fails)
        return self._flying(region, start, number, self._rng.random() < fails, confirm)

    def _flying(
        self, region: str, start: float, number: int, failed: bool, confirm: bool
    ) -> tuple[float, int, str, float, bool, bool]:
        took = self._scenario.failure_s if failed else self._scenario.success_s
        return (start + took, number, region, start, failed, confirm)

    def _after_skip(
        self, region: str, start: float, number: int, outage: Outage | None
    ) -> tuple[float, int, str, float, bool, bool]:
        if self._lone == (region, start):
            return self._flying(region, start, number, True, False)
        return self._probe(region, start, number, outage, confirm=False)

    def _result(self, region: str, start: float, ended: float, failed: bool, confirm: bool) -> Observation:
        return Observation(
            monitor="t/m",
            region=region,
            domain=self._scenario.domains[region],
            agent=region,
            at=start,
            received=ended,
            outcome=Outcome.DOWN if failed else Outcome.UP,
            failure=Failure.TIMEOUT if failed else Failure.NONE,
            total_ms=(ended - start) * 1e3,
            confirm=confirm,
        )

    # -- skipping -----------------------------------------------------------------------------------

    def _skip(self, watcher: Watcher, horizon: float) -> int:
        """Move to the next probe that may fail, or to ``horizon``; how many successes were skipped."""
        interval, due = self._scenario.interval_s, self._due
        nearest, self._lone = horizon, ("", 0.0)
        for name in self._names:
            model, spells = self._scenario.paths[name], self._spells[name]
            if model.stuck:
                continue
            if spells.at(due[name]):
                possible = due[name]
            else:
                ahead = math.ceil(max(0.0, spells.switch - due[name]) / interval)
                possible = due[name] + ahead * interval
                gap = int(math.log(1.0 - self._rng.random()) / math.log(1.0 - model.good_fails))
                lone = due[name] + gap * interval
                if lone < possible:
                    if lone < nearest:
                        nearest, self._lone = lone, (name, lone)
                    continue
            if possible < nearest:
                nearest, self._lone = possible, ("", 0.0)
        skipped = 0
        for name in self._names:
            count = math.ceil((nearest - due[name]) / interval)
            # Rounding must not skip the probe that fails.
            if self._lone[0] == name:
                count = round((nearest - due[name]) / interval)
            if count > 0:
                due[name] += count * interval
                watcher.skip(name, count, due[name] - interval)
                skipped += count
        if self._lone[0]:
            self._lone = (self._lone[0], due[self._lone[0]])
        return skipped


def outages_every(mean_gap_s: float, length_s: float, rng: Random, *, fails: float = DOWN_FAILS) -> Iterator[Outage]:
    """Outages of one length; the time between them is at least a quarter of the mean, and random beyond it."""
    at = 0.0
    while True:
        at += mean_gap_s / 4 + rng.expovariate(4 / (3 * mean_gap_s))
        yield Outage(since=at, until=at + length_s, fails=fails)
        at += length_s


# ---------------------------------------------------------------- the variants of the reference world


def scenario(name: str, domains: Sequence[int], *, interval_s: float = 30.0, failure_s: float = 0.1) -> Scenario:
    """A variant of the reference world; ``domains`` gives the number of regions in each.

    ``plain``; ``stuck``: the last region; ``provider``: the first domain's regions have their spells in common;
    ``lossy``: the last region loses 5 %.
    """
    regions = {f"r{domain}.{number}": f"d{domain}" for domain, count in enumerate(domains) for number in range(count)}
    paths = {
        region: PathModel(shares="d0" if name == "provider" and of == "d0" else "") for region, of in regions.items()
    }
    last = tuple(regions)[-1]
    if name == "stuck":
        paths[last] = PathModel(stuck=True)
    elif name == "lossy":
        paths[last] = PathModel(good_fails=0.05)
    return Scenario(name=name, domains=regions, paths=paths, interval_s=interval_s, failure_s=failure_s)
