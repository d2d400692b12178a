"""Cut-overs in virtual time: the staged plan beside a one-shot switch, in the same seeded worlds.

Time goes in ticks of ten seconds. In each, resolvers whose answer has run out ask again and draw an answer by the
weights; traffic follows its resolver at once, or when its connection is opened again, or never; each target answers its
part or fails it. Requests are not simulated one by one: their numbers in a tick are binomial draws, which is what they
would add up to. What is drawn one by one is what makes such a move lumpy: the answer of each resolver.

Not modelled: two resolvers behind one another, negative caching, AAAA beside A, clients that repeat a failed request, a
fault that comes later than the traffic, a fault of the old target, or a roll-back that is done wrong.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from holdfast.deploy.core.cutover.settings import CutoverRequest, Thresholds
from holdfast.deploy.core.cutover.verdict import Seen, judge
from holdfast.deploy.core.cutover.world import BASE_ERRORS, FAULTS, Fault, World, draw, some_of

if TYPE_CHECKING:
    from random import Random

TICK_S: Final = 10
MINUTE: Final = 60 // TICK_S
METRICS_S: Final = 120
"""CloudWatch shows a minute about two minutes later."""
LOOK_S: Final = 60
"""Whoever carries out the plan looks once a minute, and needs as long to paste the line."""
PROPAGATION_S: Final = 30
"""Until Route 53's servers have a change; usually within 60 s."""
TRIALS: Final = 20
"""Requests of the trial before any traffic."""
STREAM_CUT: Final = 0.6
"""Share of the streams that the fault ``streams`` breaks: those that are longer than about half their mean."""
ALARM_SHARE: Final = 0.05
"""Share of failing requests at which the alarm that every service has goes off."""
COMPLAINTS: Final = 50
"""Broken streams after which somebody complains: no metric shows them."""
BACK: Final = 0.001
"""Everybody is back when less than this share of the requests reaches the new target."""
SPAN_S: Final = 4 * 3_600
"""After the last decision nothing is simulated for longer than this."""
AFTER_S: Final = 3_900
"""Simulated after the last stage of a switch that holds: longer than the most stubborn resolver."""
HEADROOM: Final = 1.3
"""Capacity of a target at full size, of the rate of all requests."""
USUAL: Final = Thresholds()
"""What a request that says nothing has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How traffic is moved."""

    name: str
    stages: tuple[int, ...]
    """Percent, in turn."""
    low_ttl: int | None
    """TTL that is set and waited for beforehand; ``None``: the record keeps the one it has."""
    trial: bool
    """Requests through the new target under the real name, before and at each stage."""
    watched: bool
    """New beside old, once a minute; without it there is the alarm that every service has, and whoever it wakes."""
    keeps: bool
    """The old target stays, at full size."""
    bake_s: float = 600.0
    """Least time at a stage; three TTLs, and a TTL with the longest stream, are the floor."""
    limits: Thresholds = USUAL
    """By which whoever watches judges."""


STAGED: Final = Strategy(name="staged", stages=(1, 5, 25, 50, 100), low_ttl=60, trial=True, watched=True, keeps=True)
CAREFUL: Final = Strategy(name="careful", stages=(100,), low_ttl=60, trial=True, watched=True, keeps=True)
"""A one-shot switch with everything else that the plan does: what stages alone are worth."""
ONE_SHOT: Final = Strategy(name="one_shot", stages=(100,), low_ttl=None, trial=False, watched=False, keeps=False)
"""The record is changed, and after a while the old target is deleted."""
STRATEGIES: Final = (STAGED, CAREFUL, ONE_SHOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one cut-over."""

    requests: int
    failed: int
    """Requests that failed because of the move; the errors that both targets always have are not among them."""
    broken: int
    """Streams that broke because of the move."""
    exposed: int
    """Requests that reached a new target that is not sound."""
    rolled_back: bool
    """Taken back, by the trial, by whoever watched, or by whoever was woken."""
    percent: int
    """Of the answers that named the new target when that was decided; -1: it was not taken back."""
    detect_s: float | None
    """From the first traffic on the new target to the decision to go back; ``None``: none, or before any traffic."""
    back_s: float | None
    """From that decision until less than 0.1 % of the requests reach the new target; at most :data:`SPAN_S`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One world, and what became of each strategy in it, in the order of :data:`STRATEGIES`."""

    fault: Fault
    outcomes: tuple[Outcome, ...]


def simulate(
    rng: Random, *, runs: int, new_random: Callable[[int], Random], request: CutoverRequest | None = None
) -> Iterator[Run]:
    """Worlds with each fault in turn, and every strategy in each.

    ``rng`` draws the worlds, ``new_random`` makes the source of chance of one run from its seed: the strategies of one
    world begin with the same chance. With a ``request`` its rate, TTL, longest stream, stages, bake time and thresholds
    take the place of what is drawn or usual.
    """
    strategies = STRATEGIES if request is None else tuple(_as_asked(one, request) for one in STRATEGIES)
    for number in range(runs):
        world = draw(rng, FAULTS[number % len(FAULTS)])
        if request is not None:
            longest_s = max(1.0, float(request.longest))
            world = replace(
                world, rate=request.rate, ttl=request.ttl_s, longest_s=longest_s, stream_s=max(TICK_S, longest_s / 3)
            )
        yield Run(
            fault=world.fault,
            outcomes=tuple(play(strategy, world, new_random(world.seed)) for strategy in strategies),
        )


def _as_asked(strategy: Strategy, request: CutoverRequest) -> Strategy:
    return replace(
        strategy,
        stages=request.stages if len(strategy.stages) > 1 else strategy.stages,
        low_ttl=None if strategy.low_ttl is None else request.low_ttl_s,
        bake_s=float(request.bake),
        limits=request.thresholds,
    )


def play(strategy: Strategy, world: World, rng: Random) -> Outcome:
    """One strategy in one world."""
    if strategy.trial and not world.hidden and _trial_sees(world, rng):
        return Outcome(
            requests=0, failed=0, broken=0, exposed=0, rolled_back=True, percent=0, detect_s=None, back_s=None
        )
    return _Move(strategy, world, rng).play()


def _trial_sees(world: World, rng: Random) -> bool:
    """Whether any of the trial's requests, or its stream, meets the fault. Load is what a trial does not bring."""
    if world.fault == "errors":
        return some_of(rng, TRIALS, 0.2) > 0
    return world.fault in ("dead", "streams")


class _Move:
    """One cut-over under way."""

    def __init__(self, strategy: Strategy, world: World, rng: Random) -> None:
        self._strategy = strategy
        self._world = world
        self._rng = rng
        ttl = strategy.low_ttl or world.ttl
        self._ticks = [max(1, max(ttl, floor) // TICK_S) for floor in world.floors]
        self._names_new = [False] * len(world.shares)
        self._due: defaultdict[int, list[int]] = defaultdict(list)
        for one, ticks in enumerate(self._ticks):
            self._due[rng.randrange(ticks)].append(one)
        self._tick = 0
        self._weight = 0.0
        self._stage = 0
        self._stage_began = 0
        self._resolved = 0.0
        self._kept = 0.0
        self._streams_old = world.rate * world.streams * world.stream_s
        self._old_capacity = HEADROOM * world.rate
        self._old_gone = False
        self._old_returns: int | None = None
        self._decided: int | None = None
        self._decided_at_percent = -1
        self._weight_falls: int | None = None
        self._alarmed: int | None = None
        self._minutes: list[tuple[int, int, int, int]] = []
        self._minute = [0, 0, 0, 0]
        self._requests = self._failed = self._broken = self._exposed = 0

    def play(self) -> Outcome:
        self._begin_stage(0)
        back: int | None = None
        end: int | None = None
        while end is None or self._tick < end:
            share = self._move_traffic()
            self._answer(share)
            if self._tick % MINUTE == MINUTE - 1:
                self._look()
            if self._decided is None:
                if end is None and self._over():
                    end = self._tick + 1
            elif self._weight == 0.0 and share < BACK:
                back, end = self._tick, self._tick
            elif end is None:
                end = self._decided + SPAN_S // TICK_S
            self._tick += 1
        decided = self._decided
        return Outcome(
            requests=self._requests,
            failed=self._failed,
            broken=self._broken,
            exposed=self._exposed,
            rolled_back=decided is not None,
            percent=self._decided_at_percent,
            detect_s=None if decided is None else float(decided * TICK_S),
            back_s=None if decided is None else float(((back or self._tick) - decided) * TICK_S),
        )

    # -- where traffic goes

    def _begin_stage(self, stage: int) -> None:
        self._stage, self._stage_began = stage, self._tick
        self._minutes.clear()
        self._minute = [0, 0, 0, 0]
        self._weight = self._strategy.stages[stage] / 100

    def _move_traffic(self) -> float:
        """Resolvers ask again, connections are opened again. Returns the share of the traffic on the new target."""
        world, rng, weight = self._world, self._rng, self._weight
        if self._weight_falls is not None and self._tick >= self._weight_falls:
            self._weight = weight = 0.0
        for one in self._due.pop(self._tick, ()):
            names_new = weight >= 1.0 or (weight > 0.0 and rng.random() < weight)
            if names_new != self._names_new[one]:
                self._names_new[one] = names_new
                self._resolved += world.shares[one] if names_new else -world.shares[one]
            self._due[self._tick + self._ticks[one]].append(one)
        resolved = min(1.0, max(0.0, self._resolved))
        if self._old_gone or self._fails(self._kept * world.kept) >= 0.5:
            self._kept = resolved  # a connection that broke is opened again at once, to whatever is named now
        else:
            self._kept += (resolved - self._kept) * min(1.0, TICK_S / world.kept_s)
        if self._weight == 0.0 and resolved < BACK / 2 and self._kept < BACK / 2:
            self._kept = 0.0
        return (1.0 - world.kept - world.stuck) * resolved + world.kept * self._kept

    def _fails(self, share: float) -> float:
        """Chance that a request to the new target fails while it has that share of the traffic."""
        fault = self._world.fault
        if fault == "errors":
            return 0.2
        if fault == "slow":
            return 0.02
        if fault == "dead":
            return 1.0
        return 0.4 if fault == "load" and share > self._world.limit else 0.0

    def _answer(self, share: float) -> None:
        """The requests and streams of this tick."""
        world, rng = self._world, self._rng
        mean = world.rate * TICK_S
        total = max(0, round(rng.gauss(mean, mean**0.5)))
        new = some_of(rng, total, share)
        old = total - new
        failed_new = some_of(rng, new, self._fails(share))
        failed_old = self._old_failures(old)
        self._requests += total
        self._failed += failed_new + failed_old
        if world.fault != "sound":
            self._exposed += new
        if world.fault == "streams":
            self._broken += some_of(rng, some_of(rng, new, world.streams), STREAM_CUT)
        began = (old - failed_old) * world.streams
        self._streams_old += began - self._streams_old * min(1.0, TICK_S / world.stream_s)
        minute = self._minute
        minute[0] += old
        minute[1] += failed_old + some_of(rng, old - failed_old, BASE_ERRORS)
        minute[2] += new
        minute[3] += failed_new + some_of(rng, new - failed_new, BASE_ERRORS)

    def _old_failures(self, requests: int) -> int:
        """Of requests to the old target: all when it is gone, and what exceeds a capacity that followed its load."""
        strategy, world = self._strategy, self._world
        if strategy.keeps:
            return 0
        gone_at = round((self._stage_began * TICK_S + world.delete_s) / TICK_S)
        if not self._old_gone and self._old_returns is None and self._decided is None and self._tick >= gone_at:
            self._old_gone = True
            self._broken += round(self._streams_old * math.exp(-world.drain_s / world.stream_s))
            self._streams_old = 0.0
        if self._old_gone:
            if self._old_returns is None or self._tick < self._old_returns:
                return requests
            self._old_gone = False
            self._old_capacity = HEADROOM * world.rate
        load = requests / TICK_S
        wanted = HEADROOM * load
        pace_s = 600.0 if wanted < self._old_capacity else 180.0
        answered = min(load, self._old_capacity)
        self._old_capacity += (wanted - self._old_capacity) * TICK_S / pace_s
        return round((load - answered) * TICK_S)

    # -- who notices

    def _look(self) -> None:
        """Once a minute."""
        self._minutes.append((self._minute[0], self._minute[1], self._minute[2], self._minute[3]))
        self._minute = [0, 0, 0, 0]
        if self._decided is None:
            if self._strategy.watched:
                self._watch()
            if self._decided is None:
                self._be_woken()

    def _watch(self) -> None:
        known = len(self._minutes) - METRICS_S // 60
        if known <= 0:
            return
        seen = [sum(minute[part] for minute in self._minutes[:known]) for part in range(4)]
        world = self._world
        slow = 3.0 if world.fault == "slow" else 1.0
        old = Seen(requests=seen[0], errors=seen[1], p99_s=world.p99_s * self._rng.lognormvariate(0.0, 0.05))
        new = Seen(requests=seen[2], errors=seen[3], p99_s=slow * world.p99_s * self._rng.lognormvariate(0.0, 0.05))
        verdict = judge(old, new, self._strategy.limits)
        if verdict in ("errors", "slow"):
            self._decide(LOOK_S)
        elif verdict == "go" and self._stage + 1 < len(self._strategy.stages) and self._baked():
            self._begin_stage(self._stage + 1)

    def _baked(self) -> bool:
        ttl = self._strategy.low_ttl or self._world.ttl
        bake_s = max(self._strategy.bake_s, 3 * ttl, ttl + self._world.longest_s)
        return (self._tick - self._stage_began) * TICK_S >= bake_s

    def _be_woken(self) -> None:
        """The alarm on all requests together, and complaints about streams, which no metric shows."""
        if self._alarmed is None:
            recent = self._minutes[-5:]
            total = sum(minute[0] + minute[2] for minute in recent)
            failed = sum(minute[1] + minute[3] for minute in recent)
            if (total and failed > ALARM_SHARE * total) or self._complained():
                self._alarmed = self._tick
        elif self._tick - self._alarmed >= self._world.alarm_s / TICK_S and self._worth_going_back():
            self._decide(0)

    def _complained(self) -> bool:
        return self._world.fault == "streams" and self._broken > COMPLAINTS

    def _worth_going_back(self) -> bool:
        # What a sound target's clients suffer because the old one is gone, is not mended by going back to it.
        return self._world.fault != "sound"

    def _decide(self, delay_s: int) -> None:
        """Go back. Without the old target that has to wait until it is there again."""
        self._decided = self._tick
        self._decided_at_percent = self._strategy.stages[self._stage]
        ready = self._tick + (delay_s + PROPAGATION_S) // TICK_S
        if self._old_gone:
            self._old_returns = self._tick + round(self._world.start_s / TICK_S)
            ready = self._old_returns + PROPAGATION_S // TICK_S
        self._weight_falls = ready

    def _over(self) -> bool:
        """Nothing is going to happen any more."""
        last = self._stage + 1 == len(self._strategy.stages)
        over_s = AFTER_S + (0.0 if self._strategy.keeps else self._world.delete_s)
        return (last and (self._tick - self._stage_began) * TICK_S >= over_s) or self._tick * TICK_S >= 12 * 3_600
