"""Cost against rate or duty, and where one candidate becomes cheaper than another.

Costs are steps (whole tasks, whole instances) on slopes, so two of them can cross several times. The search therefore
looks at every place where a task is added, beside an even grid, and bisects the exact model between two places where
the cheaper one differs; no formula is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import msgspec

from holdfast.deploy.core.candidates import Candidate
from holdfast.deploy.core.cost import CostOf
from holdfast.deploy.core.prices import Estimate, Part
from holdfast.deploy.core.traffic import exact
from holdfast.deploy.core.workload import Workload

Axis: TypeAlias = Literal["rate", "busy"]
"""``rate``: requests or jobs per second while busy; ``busy``: share of the month, the duty."""

GRID: Final = 60
"""Even steps from end to end; a multiple of the marks on a chart, so that its table quotes computed places."""
STEPS: Final = 128
"""Most places looked at because a task is added there; beyond, a step is small against the whole."""
CLOSE: Final = Decimal("1e-6")
"""Relative width at which bisection ends: far below what a rate is known to."""
JUST: Final = Decimal("1e-9")
COMPUTE: Final[frozenset[Part]] = frozenset({"compute"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place of a curve."""

    at: Decimal
    """Requests or jobs per second, or a share of the month."""
    total: Decimal
    """USD a month, of what is known."""
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What one candidate costs along an axis."""

    candidate: Candidate
    axis: Axis
    points: tuple[Point, ...]

    @property
    def complete(self) -> bool:
        """Whether no price is missing anywhere."""
        return all(point.complete for point in self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Where the cheaper of two changes."""

    at: Decimal
    below: Candidate
    """Cheaper on the near side."""
    above: Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """Which of two is cheaper where."""

    low: Decimal
    high: Decimal
    crossings: tuple[Crossing, ...]
    cheaper: Candidate | None
    """At the low end; ``None``: not known, because a price is missing or one of them has no such size."""
    text: str
    """``lambda+lambda-url is cheaper below 3.1 requests/s, ecs-fargate+alb above``."""


def moved(workload: Workload, axis: Axis, at: Decimal) -> Workload:
    """The workload with another rate or busy share."""
    traffic = workload.traffic
    changed = (
        msgspec.structs.replace(traffic, rate=float(at))
        if axis == "rate"
        else msgspec.structs.replace(traffic, busy=float(at))
    )
    return msgspec.structs.replace(workload, traffic=changed)


def total_of(estimate: Estimate, parts: frozenset[Part] | None = None) -> tuple[Decimal, bool]:
    """USD of some parts, or of all, and whether none of their prices is missing."""
    lines = [line for line in estimate.lines if parts is None or line.part in parts]
    known = [line.amount for line in lines if line.amount is not None]
    return sum(known, Decimal(0)), len(known) == len(lines)


def curve(
    candidate: Candidate, workload: Workload, region: str, *, cost: CostOf, axis: Axis, places: Iterable[Decimal]
) -> Curve | None:
    """What a candidate costs at some places; ``None``: it has no size that holds the workload."""
    points = []
    for at in places:
        estimate = cost(candidate, moved(workload, axis, at), region)
        if estimate is None:
            return None
        points.append(Point(at=at, total=estimate.total, complete=estimate.complete))
    return Curve(candidate=candidate, axis=axis, points=tuple(points))


def places(workload: Workload, axis: Axis, low: Decimal, high: Decimal, *, utilisation: float) -> tuple[Decimal, ...]:
    """Where to look: an even grid (of ratios for rates), and both sides of each place where a task is added."""
    found = {low, high}
    if axis == "rate" and low > 0:
        ratio = (high / low) ** (1 / Decimal(GRID))
        found |= {low * ratio**step for step in range(1, GRID)}
    else:
        found |= {low + (high - low) * step / GRID for step in range(1, GRID)}
    if axis == "rate":
        for step in _steps(workload, utilisation, low, high):
            found |= {step * (1 - JUST), step * (1 + JUST)}
    return tuple(sorted(at for at in found if low <= at <= high))


def _steps(workload: Workload, utilisation: float, low: Decimal, high: Decimal) -> Iterable[Decimal]:
    traffic, target = workload.traffic, exact(utilisation)
    per_task = []
    if traffic.cpu:
        per_task.append(exact(workload.cpu) * target / exact(traffic.cpu))
    if traffic.memory and traffic.duration:
        per_task.append(workload.memory * target / (traffic.memory * exact(traffic.duration)))
    for rate in per_task:
        first = max(1, int(low / rate))
        last = min(int(high / rate), first + STEPS)
        yield from (rate * count for count in range(first, last + 1))


def crossover(
    one: Candidate,
    other: Candidate,
    workload: Workload,
    region: str,
    *,
    cost: CostOf,
    axis: Axis = "rate",
    low: Decimal,
    high: Decimal,
    utilisation: float = 0.6,
    parts: frozenset[Part] | None = None,
) -> Crossover:
    """Where one is cheaper than the other, between two rates or duties.

    ``parts`` compares only those: ``COMPUTE`` leaves out what stands around it. ``utilisation`` is that of the cost's
    assumptions. Raises ``ValueError`` unless ``low < high``.
    """
    if not low < high:
        raise ValueError(f"nothing lies between {low} and {high}")
    unknown: list[str] = []

    def difference(at: Decimal) -> Decimal | None:
        totals = []
        for candidate in (one, other):
            estimate = cost(candidate, moved(workload, axis, at), region)
            if estimate is None:
                unknown.append(f"{candidate.id} has no size that holds it")
                return None
            total, complete = total_of(estimate, parts)
            if not complete:
                unknown.append(f"{candidate.id} lacks {', '.join(line.price.key for line in estimate.missing)}")
                return None
            totals.append(total)
        return totals[0] - totals[1]

    looked = []
    for at in places(workload, axis, low, high, utilisation=utilisation):
        gap = difference(at)
        if gap is None:
            text = f"{one.id} and {other.id} cannot be compared: {unknown[0]}"
            return Crossover(low=low, high=high, crossings=(), cheaper=None, text=text)
        if gap:  # where both cost the same, neither has become cheaper
            looked.append((at, gap))
    if not looked:
        text = f"{one.id} and {other.id} cost the same"
        return Crossover(low=low, high=high, crossings=(), cheaper=None, text=text)
    crossings = []
    for (near, near_gap), (far, far_gap) in pairwise(looked):
        if (near_gap < 0) != (far_gap < 0):
            below, above = (one, other) if near_gap < 0 else (other, one)
            at = _bisect(near, far, near_gap, difference)
            crossings.append(Crossing(at=at, below=below, above=above))
    cheaper, dearer = (one, other) if looked[0][1] < 0 else (other, one)
    return Crossover(
        low=low,
        high=high,
        crossings=tuple(crossings),
        cheaper=cheaper,
        text=_words(cheaper, dearer, crossings, workload, axis, low, high),
    )


def _bisect(near: Decimal, far: Decimal, gap: Decimal, difference: Callable[[Decimal], Decimal | None]) -> Decimal:
    while far - near > CLOSE * far:
        middle = (near + far) / 2
        if ((difference(middle) or Decimal(0)) < 0) == (gap < 0):
            near = middle
        else:
            far = middle
    return (near + far) / 2


def spoken(at: Decimal, workload: Workload, axis: Axis) -> str:
    """A place in words: ``3.1 requests/s``, ``120 jobs/h``, ``39 % duty``."""
    if axis == "busy":
        return f"{_short(at * 100)} % duty"
    if workload.traffic.unit == "job":
        return f"{_short(at * 3600)} jobs/h"
    return f"{_short(at)} requests/s"


def _short(value: Decimal) -> str:
    """Two significant digits, three from a hundred on, without an exponent."""
    return f"{float(f'{value:.3g}' if value >= 100 else f'{value:.2g}'):,.10g}"


def _words(
    cheaper: Candidate,
    dearer: Candidate,
    crossings: Sequence[Crossing],
    workload: Workload,
    axis: Axis,
    low: Decimal,
    high: Decimal,
) -> str:
    def say(at: Decimal) -> str:
        return spoken(at, workload, axis)

    if not crossings:
        return f"{cheaper.id} is cheaper than {dearer.id} from {say(low)} to {say(high)}"
    if len(crossings) == 1:
        return f"{cheaper.id} is cheaper below {say(crossings[0].at)}, {dearer.id} above"
    ends = [say(crossing.at) for crossing in crossings]
    spans = [f"below {ends[0]}"]
    spans += [f"between {first} and {last}" for first, last in zip(ends[1::2], ends[2::2], strict=False)]
    if len(ends) % 2 == 0:
        spans.append(f"above {ends[-1]}")
    return f"{cheaper.id} is cheaper {', '.join(spans[:-1])} and {spans[-1]}; {dearer.id} otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Something that is billed only while it runs, against something that always runs."""

    ratio: Decimal
    """Of what both cost in an hour in which both run."""
    below: Decimal
    """Share of the month under which the first is cheaper."""
    text: str


def duty(one: Candidate, other: Candidate, workload: Workload, region: str, *, cost: CostOf) -> Duty | None:
    """Compute alone, by duty; storage (a snapshot) and what stands around it are left out.

    ``None`` where a price is missing or the first is never dearer, so that there is nothing to weigh.
    """
    found = crossover(
        one, other, workload, region, cost=cost, axis="busy", low=Decimal(0), high=Decimal(1), parts=COMPUTE
    )
    always = moved(workload, "busy", Decimal(1))
    running = [estimate for estimate in (cost(one, always, region), cost(other, always, region)) if estimate]
    if len(running) < 2 or len(found.crossings) != 1 or found.crossings[0].below != one:
        return None
    ratio = total_of(running[0], COMPUTE)[0] / total_of(running[1], COMPUTE)[0]
    below = found.crossings[0].at
    return Duty(
        ratio=ratio,
        below=below,
        text=(
            f"{one.id} costs {ratio:.2f} times {other.id} per running hour at {workload.cpu:g} vCPU and "
            f"{workload.memory / 2**30:g} GB, and is cheaper below {spoken(below, workload, 'busy')}, before snapshots"
        ),
    )
