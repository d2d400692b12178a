"""Who may go now: tokens in flight at a deployment, and the order of those who wait.

A request is weighed by its estimated tokens, because what fills a provider is tokens, not requests.

:class:`TokenLimit` finds out how many tokens a deployment takes; :class:`Queue` holds those for whom there is no place:

- interactive requests go before batch ones, first come first served among equals;
- a batch request that waited ``aging_s`` is one of the interactive from then on, so that it is late, not lost;
- who waits for one model does not block who waits for another;
- within a lane nobody passes the first one, however small: the large would starve.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from holdfast.resilience import GradientLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from holdfast.gateway.core.ports import Need
    from holdfast.gateway.core.settings import Priority

Tiers: TypeAlias = tuple[tuple[str, ...], ...]
"""Names of deployments, by tier."""

UNIT: Final = 1000
"""Tokens that the gradient counts as one: its tolerated queue, the root of the limit, is meant for hundreds."""
LEAST_UNITS: Final = 32
"""The limit never falls below 32,000 tokens: some ordinary requests, or nobody finds out that things are better."""
REFUSED: Final = 0.7
"""Factor after a refusal (CUBIC, RFC 9438, section 4.6: 0.7)."""
GROWTH: Final = 0.05
"""Share of an answered request's tokens by which the limit grows while it is in use: it doubles in 20 fillings."""
PREFILL: Final = 3000
"""Input tokens that take as long as the rest of the time to the first token (0.3 s at 10,000 tokens/s of prefill), by
which prompts of different length are compared."""


class TokenLimit:
    """How many estimated tokens may be in flight at one deployment.

    Additive increase, multiplicative decrease on refusals (429, overload), and the gradient of the time to the first
    token (:class:`~holdfast.resilience.GradientLimit`) on top; the smaller one holds. A burst of refusals is one event:
    only what was sent after the last decrease can cause the next (as TCP's recovery point, RFC 6582).

    Args:
        highest: Tokens; what is configured, and where it starts.
        adaptive: ``False``: the limit is always ``highest``.
    """

    __slots__ = ("_estimate", "_gradient", "_lowered_at", "_lowest", "_peak", "adaptive", "highest", "limit")

    def __init__(self, highest: int, *, adaptive: bool) -> None:
        self.highest = highest
        self.limit = highest
        self.adaptive = adaptive
        self._estimate = float(highest)
        units = max(1, highest // UNIT)
        least = min(LEAST_UNITS, units)
        self._lowest = min(highest, LEAST_UNITS * UNIT)
        self._gradient = GradientLimit(initial=units, lowest=least, highest=units)
        self._lowered_at = -1.0
        self._peak = 0

    def first_token(self, seconds: float, input_tokens: int, in_flight: int, now: float) -> None:
        """Learn from the time to a first token, with ``in_flight`` tokens at that moment."""
        if self.adaptive:
            self._gradient.sample(seconds / (1.0 + input_tokens / PREFILL), max(1, in_flight // UNIT), now, ok=True)
            self._settle()

    def answered(self, tokens: int, in_flight: int) -> None:
        """A request of so many tokens was answered: grow, if half of the limit or more was in use."""
        self._peak = max(self._peak, in_flight)
        if self.adaptive and self._estimate < self.highest and 2 * in_flight >= self.limit:
            self._estimate = min(float(self.highest), self._estimate + max(1.0, GROWTH * tokens))
            self._settle()

    def refused(self, began: float, in_flight: int, now: float) -> bool:
        """It refused an attempt that was sent at ``began``; whether that lowered the limit.

        It took at most what has been in flight, whatever the limit was, so that is what is lowered.
        """
        if not self.adaptive or began <= self._lowered_at:
            return False
        self._lowered_at = now
        took = max(in_flight, self._peak, self._lowest)
        self._peak = in_flight
        self._estimate = max(float(self._lowest), REFUSED * min(self._estimate, float(took)))
        self._settle()
        return True

    def _settle(self) -> None:
        gradient = self._gradient.limit * UNIT if self._gradient.limit * UNIT + UNIT <= self.highest else self.highest
        self.limit = min(self.highest, int(self._estimate), gradient)


T = TypeVar("T", bound="Hashable")


@dataclass(slots=True)
class _Waiting:
    need: Need
    deadline: float
    since: float


class _Lane(Generic[T]):
    __slots__ = ("batch", "interactive", "names")

    def __init__(self, tiers: Tiers) -> None:
        self.names = frozenset(name for tier in tiers for name in tier)
        self.interactive: OrderedDict[T, _Waiting] = OrderedDict()
        self.batch: OrderedDict[T, _Waiting] = OrderedDict()


class Queue(Generic[T]):
    """Those who wait for a place. An item leaves once: by :meth:`wake`, :meth:`expired` or :meth:`remove`.

    Args:
        bound: Most items that may wait, 0 or more.
        aging_s: Batch requests that waited so long are treated as interactive.

    Raises:
        ValueError: An argument is out of range.
    """

    __slots__ = ("_aging_s", "_bound", "_lane_of", "_lanes")

    def __init__(self, bound: int, *, aging_s: float = 5.0) -> None:
        if bound < 0 or not aging_s > 0:
            raise ValueError(f"a queue needs bound >= 0 and aging_s > 0; got {bound=}, {aging_s=}")
        self._bound = bound
        self._aging_s = aging_s
        self._lanes: dict[Tiers, _Lane[T]] = {}
        self._lane_of: dict[T, Tiers] = {}

    def __len__(self) -> int:
        return len(self._lane_of)

    def push(
        self, item: T, need: Need, deadline: float, *, tiers: Tiers, now: float, since: float | None = None
    ) -> bool:
        """Wait until ``deadline``; ``False`` when the queue is full.

        ``since``: it was woken, lost its place to somebody else, and waits on from where it stood.

        Raises:
            ValueError: The same item waits already.
        """
        if item in self._lane_of:
            raise ValueError(f"{item!r} waits already; take it out with remove() before it is pushed again")
        if len(self._lane_of) >= self._bound:
            return False
        lane = self._lanes.get(tiers)
        if lane is None:
            lane = self._lanes[tiers] = _Lane(tiers)
        line = lane.batch if need.priority == "batch" else lane.interactive
        line[item] = _Waiting(need, deadline, now if since is None else since)
        if since is not None:
            line.move_to_end(item, last=False)
        self._lane_of[item] = tiers
        return True

    def ahead(self, tiers: Tiers, priority: Priority) -> bool:
        """Whether somebody waits who has to go before a new request: then it waits as well.

        Batch requests also stand behind the interactive ones of other models that wait for the same deployments.
        """
        lane = self._lanes.get(tiers)
        if lane is not None and lane.interactive:
            return True
        if priority == "interactive":
            return False
        if lane is not None and lane.batch:
            return True
        names = frozenset(name for tier in tiers for name in tier)
        return any(other.interactive and not names.isdisjoint(other.names) for other in self._lanes.values())

    def wake(self, now: float, fits: Callable[[Tiers, Need], bool]) -> list[tuple[T, Need]]:
        """Take out those who may go, in order, with the need to choose by: a batch request may have come of age.

        ``fits`` says whether there is a place, and takes it if so (:meth:`.fleet.DeploymentFleet.room`). An interactive
        request that does not fit also holds back the batch requests that wait for the same deployments.
        """
        woken: list[tuple[T, Need]] = []
        blocked: set[str] = set()
        heads = [
            (waiting.since, tiers, lane)
            for tiers, lane in self._lanes.items()
            if (waiting := next(iter(lane.interactive.values()), None)) is not None
        ]
        for _, tiers, lane in sorted(heads, key=lambda head: head[0]):
            if not self._drain(lane.interactive, tiers, now, fits, woken):
                blocked |= lane.names
        for tiers, lane in tuple(self._lanes.items()):
            if blocked.isdisjoint(lane.names):
                self._drain(lane.batch, tiers, now, fits, woken)
            if not lane.interactive and not lane.batch:
                del self._lanes[tiers]
        return woken

    def expired(self, now: float) -> list[T]:
        """Take out everybody whose deadline has come; and let batch requests come of age. Call it regularly."""
        late: list[T] = []
        for tiers, lane in tuple(self._lanes.items()):
            for line in (lane.interactive, lane.batch):
                due = [item for item, waiting in line.items() if waiting.deadline <= now]
                for item in due:
                    del line[item]
                    del self._lane_of[item]
                late += due
            while lane.batch:
                item, waiting = next(iter(lane.batch.items()))
                if now - waiting.since < self._aging_s:
                    break
                del lane.batch[item]
                waiting.need = replace(waiting.need, priority="interactive")
                lane.interactive[item] = waiting
            if not lane.interactive and not lane.batch:
                del self._lanes[tiers]
        return late

    def remove(self, item: T) -> bool:
        """Take this one out wherever it is; ``False`` when it does not wait."""
        tiers = self._lane_of.pop(item, None)
        if tiers is None:
            return False
        lane = self._lanes[tiers]
        if lane.interactive.pop(item, None) is None:
            lane.batch.pop(item, None)
        return True

    def _drain(
        self,
        line: OrderedDict[T, _Waiting],
        tiers: Tiers,
        now: float,
        fits: Callable[[Tiers, Need], bool],
        woken: list[tuple[T, Need]],
    ) -> bool:
        """Wake from the front of a line; whether nobody in it has to wait on."""
        for item, waiting in tuple(line.items()):
            if waiting.deadline <= now:
                continue  # somebody has to answer it: expired() hands it out
            if not fits(tiers, waiting.need):
                return False
            del line[item]
            del self._lane_of[item]
            woken.append((item, waiting.need))
        return True
