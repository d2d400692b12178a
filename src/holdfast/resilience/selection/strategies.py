"""The strategies that weigh load; the one that follows a key is in :mod:`.ring`.

A target is *open* when its weight is positive, it has a free place (``in_flight < limit``)
and this request has not been tried there. Every strategy returns ``None`` when no target is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal, Protocol

from holdfast.resilience.selection.ring import ConsistentHash

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from random import Random

    from holdfast.resilience.selection.target import Target

StrategyName = Literal["round_robin", "weighted", "least_connections", "p2c", "consistent_hash"]


class Strategy(Protocol):
    """Chooses the target of the next attempt."""

    name: ClassVar[str]
    """One of :data:`StrategyName`."""

    def pick(
        self, targets: Sequence[Target], tried: Collection[Target], now: float, rng: Random, key: int | None
    ) -> Target | None:
        """The target to use, or ``None`` when none is open.

        Args:
            targets: All targets of the pool. Pass the same sequence until its members change.
            tried: Where this request has been already; left out. Empty for a first attempt.
            now: Monotonic seconds.
            rng: Source of chance.
            key: What consistent hashing follows, from :func:`.hash_key`; others ignore it.
        """
        ...


class WeightedRoundRobin:
    """nginx's smooth weighted round robin, with ``weight * success`` as weight.

    Each pick moves every open target's turn forward by its weight, takes the one that is
    furthest, and sets it back by the sum, so that the picks of a heavy target are spread out
    instead of bunched.

    A higher power of ``success`` would avoid failures better, but nothing here feels load: with
    the square, the simulation in :mod:`.target` left so much work to the good backend that the
    99th percentile rose from 145 to 233 ms.

    Source: nginx, ``ngx_http_upstream_get_peer`` in ``ngx_http_upstream_round_robin.c``.
    """

    __slots__ = ()
    name: ClassVar[str] = "weighted"
    _equal: ClassVar[bool] = False

    def pick(
        self, targets: Sequence[Target], tried: Collection[Target], now: float, rng: Random, key: int | None
    ) -> Target | None:
        """See :meth:`Strategy.pick`."""
        equal = self._equal
        best: Target | None = None
        furthest = total = 0.0
        for target in targets:
            if target.weight <= 0.0 or target.in_flight >= target.limit or (tried and target in tried):
                continue
            share = target.weight * target.success
            if equal:
                share /= target.nominal_weight
            total += share
            target.turn = turn = target.turn + share
            if best is None or turn > furthest:
                best = target
                furthest = turn
        if best is not None:
            best.turn -= total
        return best


class RoundRobin(WeightedRoundRobin):
    """Equal turns: as :class:`WeightedRoundRobin`, but configured weights do not count.

    Ramps and damping still do, which is why a weight is taken relative to the nominal one.
    """

    __slots__ = ()
    name: ClassVar[str] = "round_robin"
    _equal: ClassVar[bool] = True


class LeastConnections:
    """The target with the least ``(in_flight + 1) / (weight * success ** 2)``.

    Looks at all targets, so it costs more than two choices in a large pool, and it knows
    nothing of latency beyond what attempts in flight tell. Ties go round.
    """

    __slots__ = ("_cursor",)
    name: ClassVar[str] = "least_connections"

    def __init__(self) -> None:
        self._cursor = 0

    def pick(
        self, targets: Sequence[Target], tried: Collection[Target], now: float, rng: Random, key: int | None
    ) -> Target | None:
        """See :meth:`Strategy.pick`."""
        count = len(targets)
        start = self._cursor = self._cursor + 1 if self._cursor + 1 < count else 0
        best: Target | None = None
        least = 0.0
        for index in range(start - count, start):  # negative indexes wrap, which makes it a full circle
            target = targets[index]
            if target.weight <= 0.0 or target.in_flight >= target.limit or (tried and target in tried):
                continue
            load = (target.in_flight + 1) / (target.weight * target.success * target.success)
            if best is None or load < least:
                best = target
                least = load
        return best


class PowerOfTwoChoices:
    """The cheaper of two random targets; the default.

    ::

        cost = (in_flight + 1) * latency_s / (weight * success ** 3)

    ``(in_flight + 1) * latency_s`` stands for the time until an attempt sent now is answered.
    Dividing by ``success`` makes it the expected time to a *success*, as ``1 / success``
    attempts are needed. Dividing again charges for what the others pay: each further attempt
    takes a place elsewhere and a token of the retry budget. The third power is there because
    a backlog shows in both factors, so that the siblings of a failing backend look expensive
    with the square of their queues; with two powers it got a quarter more attempts.

    Two random choices, not the minimum of all: with several workers that each see only their
    own requests, everybody's minimum is the same target, and they would swing together
    (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
    """

    __slots__ = ()
    name: ClassVar[str] = "p2c"

    def pick(
        self, targets: Sequence[Target], tried: Collection[Target], now: float, rng: Random, key: int | None
    ) -> Target | None:
        """See :meth:`Strategy.pick`."""
        count = len(targets)
        if count > 1 and not tried:
            # One draw gives an ordered pair of different indexes.
            others = count - 1
            draw = int(rng.random() * (count * others))
            index = draw // others
            other = draw - index * others
            if other >= index:
                other += 1
            one = targets[index]
            two = targets[other]
            if one.weight > 0.0 and two.weight > 0.0 and one.in_flight < one.limit and two.in_flight < two.limit:
                return _cheaper(one, two)
        open_targets = [
            target
            for target in targets
            if target.weight > 0.0 and target.in_flight < target.limit and not (tried and target in tried)
        ]
        count = len(open_targets)
        if count < 2:
            return open_targets[0] if open_targets else None
        index = int(rng.random() * count)
        other = int(rng.random() * (count - 1))
        return _cheaper(open_targets[index], open_targets[other + (other >= index)])


def _cheaper(one: Target, two: Target) -> Target:
    """The cheaper target; ``one`` when they cost the same. Compares products to spare the divisions."""
    latency_one = one.latency_s
    latency_two = two.latency_s
    if latency_one == 0.0 or latency_two == 0.0:  # an unknown latency is taken to be that of the other
        latency_one = latency_two = 1.0
    success_one = one.success
    success_two = two.success
    cost_one = (one.in_flight + 1) * latency_one * two.weight * success_two * success_two * success_two
    cost_two = (two.in_flight + 1) * latency_two * one.weight * success_one * success_one * success_one
    return one if cost_one <= cost_two else two


_AS_LIKELY: Final = 0.95
"""Of the best estimate: what counts as equally likely to succeed. A backend that fails a fifth stays below."""


def safest(targets: Sequence[Target], tried: Collection[Target]) -> Target | None:
    """Where a *repeated* attempt should go, or ``None`` when no target is open. Serves every strategy.

    A first attempt also serves to find out how a doubtful backend does. A retry has no such duty:
    each one that fails is one fewer before the client sees it. So of the open targets whose
    ``success`` is that of the best one, it takes the one that answered last: the freshest proof of
    life there is, which a backend that hangs stops giving at once, long before anything times out.
    Those who answer most are also last most often, so retries spread as capacity does.
    """
    best = 0.0
    for target in targets:
        if target.success > best and target.weight > 0.0 and target.in_flight < target.limit and target not in tried:
            best = target.success
    least = best * _AS_LIKELY
    chosen: Target | None = None
    for target in targets:
        if (
            target.success >= least
            and target.weight > 0.0
            and target.in_flight < target.limit
            and target not in tried
            and (chosen is None or target.succeeded_at > chosen.succeeded_at)
        ):
            chosen = target
    return chosen


_STRATEGIES: Final[dict[str, Callable[[], Strategy]]] = {
    "round_robin": RoundRobin,
    "weighted": WeightedRoundRobin,
    "least_connections": LeastConnections,
    "p2c": PowerOfTwoChoices,
    "consistent_hash": ConsistentHash,
}


def strategy(name: str) -> Strategy:
    """A fresh strategy of that name (see :data:`StrategyName`).

    Raises:
        ValueError: There is no strategy of that name.
    """
    try:
        return _STRATEGIES[name]()
    except KeyError:
        raise ValueError(f"there is no strategy {name!r}; use one of {', '.join(_STRATEGIES)}") from None
