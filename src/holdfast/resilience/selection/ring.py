"""Consistent hashing with bounded loads.

Each target owns points on a ring of 64-bit numbers; a key belongs to the first point at or
after it. Adding or removing one of *n* targets moves about 1/n of the keys. A target that
has reached its bound of the load passes the key on to the next point::

    share = weight * success
    bound = 1.25 * (in flight in the pool + 1) * share / sum of shares, rounded up
    load  = in_flight + 1 / success ** 2 - 1

so a popular key cannot overload its target, and a target that fails is passed by as if it
were busy (two failures in a row do, in an idle pool), then found again by the same keys once
it succeeds. What a failing target cannot take, the bounds of the others can: without
``success`` in the share, two of three would be over their bounds with the whole load.

Weights thin out the points: each has a fixed threshold in [0, 1) and counts while that is
below weight / largest weight. A ramp therefore hands a target its keys back one by one,
always the same ones, without a new ring.

Sources: Karger et al., "Consistent Hashing and Random Trees", 1997; Mirrokni, Thorup,
Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016 (c = 1.25 as in HAProxy's and
Vimeo's use of it).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from random import Random

    from holdfast.resilience.selection.target import Target

_POINTS: Final = 160
"""Points per target: shares within about 1/sqrt(160) = 8 % of each other (ketama uses 160)."""

_BALANCE: Final = 1.25
"""How far above its fair share a target may be loaded."""

_WALK: Final = 8
"""Points per target that a key passes before it goes to the least loaded: were only one of n
targets open, it would be missed once in e ** 8 = 3,000 walks, and be the least loaded as well."""


def hash_key(data: bytes) -> int:
    """A 64-bit number that is the same in every process and release, unlike ``hash()``."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


class ConsistentHash:
    """Sends equal keys to the same target as long as that one has room and succeeds.

    A request without a key goes to a random point of the ring.
    """

    __slots__ = ("_hashes", "_ids", "_owners", "_targets", "_thresholds")
    name: ClassVar[str] = "consistent_hash"

    def __init__(self) -> None:
        self._targets: Sequence[Target] | None = None
        self._ids: list[str] = []
        self._hashes: list[int] = []
        self._owners: list[int] = []
        self._thresholds: list[float] = []

    def pick(
        self, targets: Sequence[Target], tried: Collection[Target], now: float, rng: Random, key: int | None
    ) -> Target | None:
        """See :meth:`.strategies.Strategy.pick`."""
        if targets is not self._targets or len(targets) != len(self._ids):
            self._place(targets)
        in_flight = 1
        shares = largest = 0.0
        for target in targets:
            in_flight += target.in_flight
            shares += target.weight * target.success
            if target.weight > largest:  # noqa: PLR1730 - the call to max() costs four times as much
                largest = target.weight
        if largest <= 0.0:
            return None
        scale = _BALANCE * in_flight / shares
        owners = self._owners
        thresholds = self._thresholds
        count = len(owners)
        start = bisect_left(self._hashes, rng.getrandbits(64) if key is None else key)
        if start == count:
            start = 0
        for point in range(start - count, min(start, start - count + _WALK * len(targets))):
            target = targets[owners[point]]
            weight = target.weight
            if weight <= thresholds[point] * largest or target.in_flight >= target.limit:
                continue
            success = target.success
            load = target.in_flight + 1.0 / (success * success) - 1.0
            if load < math.ceil(scale * weight * success) and not (tried and target in tried):
                return target
        return _least_loaded(targets, tried)

    def _place(self, targets: Sequence[Target]) -> None:
        """Build the ring unless only the sequence is new and its members are not."""
        self._targets = targets
        ids = [target.id for target in targets]
        if ids == self._ids:
            return
        self._ids = ids
        points = sorted(
            (hash_key(f"{id_}#{number}".encode()), owner, (number + 0.5) / _POINTS)
            for owner, id_ in enumerate(ids)
            for number in range(_POINTS)
        )
        self._hashes = [point[0] for point in points]
        self._owners = [point[1] for point in points]
        self._thresholds = [point[2] for point in points]


def _least_loaded(targets: Sequence[Target], tried: Collection[Target]) -> Target | None:
    """Where to go when every target is above its bound (all of them fail, or the rest was tried)."""
    best: Target | None = None
    least = 0.0
    for target in targets:
        if target.weight <= 0.0 or target.in_flight >= target.limit or (tried and target in tried):
            continue
        load = (target.in_flight + 1) / (target.weight * target.success * target.success)
        if best is None or load < least:
            best = target
            least = load
    return best
