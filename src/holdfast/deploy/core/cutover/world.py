"""The world in which cut-overs are simulated: who resolves the name, who holds on to an answer, and what is wrong.

One :class:`World` is one place and one evening: a few dozen resolvers of very different size, clients that look a name
up again at once, later or never, a rate of requests, and a new target that is sound or has one fault. The ranges are
meant to be wide, not to be measured: what holds in all of them does not depend on their exact values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from random import Random

Fault: TypeAlias = Literal["sound", "errors", "slow", "dead", "load", "streams"]
"""Of the new target: none; 20 % of the requests fail; 3 times as slow, and 2 % time out; nothing is answered; 40 % fail
while its load is above a limit; streams break, and nothing else."""
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)

RESOLVERS: Final = 60
FLOOR_SHARE: Final = 0.08
"""Of the resolvers that hold an answer for at least :data:`FLOOR_S`, whatever its TTL is."""
FLOOR_S: Final = 300
HOLD_SHARE: Final = 0.02
"""Of those that hold it for an hour."""
HOLD_S: Final = 3_600
BASE_ERRORS: Final = 0.001
"""Share of 5xx that both targets always have. It makes judging harder; it is not counted against a strategy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a strategy meets. Times in seconds, rates per second, shares 0 to 1."""

    fault: Fault
    hidden: bool
    """The fault shows only with real traffic: a trial does not meet it."""
    limit: float
    """Share of the traffic above which ``load`` breaks."""
    rate: float
    ttl: int
    """Of the record as it is found."""
    shares: tuple[float, ...]
    """Of the traffic, behind each resolver; the largest has about a fifth."""
    floors: tuple[int, ...]
    """Seconds for which each resolver holds an answer at least."""
    kept: float
    """Share of the traffic on kept connections, which moves only when they are opened again."""
    kept_s: float
    """Mean life of such a connection."""
    stuck: float
    """Share of the traffic from clients that never look up the name again."""
    streams: float
    """Share of the requests that are streams."""
    stream_s: float
    """Their mean length."""
    longest_s: float
    drain_s: float
    """For which a target that is stopped lets streams go on."""
    p99_s: float
    """Of the old target."""
    start_s: float
    """Until a target that was deleted answers again."""
    delete_s: float
    """After a one-shot switch, until somebody deletes the old target."""
    alarm_s: float
    """From an alarm, or from a complaint, until somebody who was not watching has decided to go back."""
    seed: int
    """Of what happens in it."""


def draw(rng: Random, fault: Fault) -> World:
    """A world with that fault."""
    weights = [1.0 / rank ** rng.uniform(0.8, 1.1) for rank in range(1, RESOLVERS + 1)]
    total = sum(weights)
    longest_s = rng.choice((60.0, 300.0, 600.0))
    return World(
        fault=fault,
        hidden=rng.random() < 0.5,
        limit=rng.uniform(0.2, 0.7),
        rate=_log_uniform(rng, 5.0, 200.0),
        ttl=rng.choice((60, 300, 3_600)),
        shares=tuple(weight / total for weight in weights),
        floors=tuple(_floor(rng.random()) for _ in weights),
        kept=rng.uniform(0.05, 0.4),
        kept_s=_log_uniform(rng, 30.0, 1_800.0),
        stuck=rng.uniform(0.0, 0.01),
        streams=rng.uniform(0.01, 0.1),
        stream_s=longest_s / 3,
        longest_s=longest_s,
        drain_s=rng.choice((30.0, 120.0)),
        p99_s=_log_uniform(rng, 0.05, 2.0),
        start_s=rng.uniform(180.0, 900.0),
        delete_s=_log_uniform(rng, 60.0, 7_200.0),
        alarm_s=_log_uniform(rng, 300.0, 3_600.0),
        seed=rng.getrandbits(64),
    )


def _floor(chance: float) -> int:
    return HOLD_S if chance < HOLD_SHARE else FLOOR_S if chance < HOLD_SHARE + FLOOR_SHARE else 0


def _log_uniform(rng: Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def some_of(rng: Random, number: int, share: float) -> int:
    """How many of ``number`` it is, each with that chance: a binomial draw.

    Exact while its variance is below 9 (by the gaps between successes, which are geometric; Devroye, "Non-Uniform
    Random Variate Generation", 1986, X.4.3), and its normal approximation above.
    """
    if share <= 0.0 or number <= 0:
        return 0
    if share >= 1.0:
        return number
    if share > 0.5:
        return number - some_of(rng, number, 1.0 - share)
    mean = number * share
    variance = mean * (1.0 - share)
    if variance > 9.0:
        return min(number, max(0, round(rng.gauss(mean, math.sqrt(variance)))))
    found, place, scale = -1, 0.0, math.log1p(-share)
    while place <= number:
        found += 1
        place += 1.0 + math.log(1.0 - rng.random()) / scale // 1.0
    return found
