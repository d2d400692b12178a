"""Who goes next: deficit round robin over tenants, cost counted in CPU microseconds. Pure.

The values below are all that a decision rests on. They come from the store in one transaction
and go back in the same one, so any process may take the decision, and a crash forgets nothing.

Theory of operation
-------------------
In each round every tenant with work is given ``quantum * weight`` of CPU time, its *share*, and may
start jobs while something of it is left; the last of them may overdraw it (surplus round robin), because
what a job costs is known only when it has ended, and :func:`settle` corrects the books then.

Rounds are counted, not walked. ``turn`` is the number of the round, and a tenant is remembered by what it had
left (``deficit_us``) in the round in which it was served last (its ``turn``)::

    credit(round) = min(deficit + (round - turn) * share, bound)

A tenant with credit is served in this round. When no allowed tenant has any, the round becomes the first one in
which one of them has. However small the quantum and however deep the debt, that is one division. Within a
round the one goes next that has most of its share left since it was served last, which makes this start-time
fair queueing with the virtual time ``turn - deficit / share``.

- The bound on credit is one share for who was idle, so nobody saves up for a burst, and going idle and coming back
  gains nothing. For who waited all along it is a few shares, because a job that was taken for dearer than it
  was holds its tenant back until that is known; no more, so that a cap which holds somebody back for an hour does not
  hold back everybody else for the next. Debt is kept, and paid by the rounds that pass.
- Backlogged tenants that no cap holds back are apart in ``cost / weight`` by at most a quantum and one job.
- ``fresh``: a tenant that comes back from being idle goes before all others, while it has credit.

Caps, over all workers:

- Heavy jobs hold at most ``heavy_share`` of the slots and never the last one, but always at least one. With a single
  slot nothing can be set aside: the rounds alone decide, or a flood of light jobs would starve the heavy ones.
- A tenant holds at most ``tenant_share`` of the slots, at least one, while another tenant below its own cap has a
  job that may start. Nobody is interrupted, and with nobody waiting it may have them all.
- Of every four slots one is left to tenants that hold none (``reserve``), so that who comes rarely finds a slot free
  however many others want it. There are more slots than cores, so the cores are busy all the same.
- Beyond that no slot stays free while there is a job that may start: a heavy job that may not is passed over.

``scheduling: fifo`` switches all of this off: the first in order goes next, whoever's it is.

Sources: Shreedhar and Varghese, "Efficient Fair Queuing Using Deficit Round Robin", IEEE/ACM ToN 4(3), 1996; Adiseshu,
Parulkar and Varghese, "A Reliable and Scalable Striping Protocol", SIGCOMM 1996 (surplus round robin); Goyal, Vin and
Cheng, "Start-Time Fair Queueing", SIGCOMM 1996; RFC 8290, section 4.2 (new flows go first, once per round).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, nsmallest
from typing import Final

from holdfast.execution.core.job import Priority
from holdfast.execution.core.settings import FairnessSettings

_OWED_SHARES: Final = 8
"""Most that a tenant which waited all along may be owed: 2 s of CPU time at the default quantum, about what is given
back to it for a few jobs that were taken for heavy and were not."""

_CLASSES: Final = {Priority.HIGH: -1, Priority.NORMAL: 0, Priority.LOW: 1}
"""How many times ``ageing`` a job is put back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A queued job that could be started now."""

    id: str
    cost_us: int
    """Its estimate."""
    order: float
    """Within a tenant the smallest goes first; from :func:`order`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantQueue:
    """One tenant that has queued jobs. A tenant not heard of yet has deficit 0 and turn 0."""

    tenant: str
    weight: float
    deficit_us: int
    """CPU time that it had left when it was served last; negative when it overdrew."""
    turn: int
    """The round in which it was served last."""
    fresh: bool
    """Was idle (nothing queued, nothing running) before these jobs came: goes next once."""
    running: int
    light: Sequence[Candidate]
    """In order; at least as many as there are free slots, if there are so many."""
    heavy: Sequence[Candidate]
    idle_s: float = 0.0
    """If fresh, how long it was idle: as much debt is forgiven, so that last night's use is not held against it
    where no rounds passed since because nobody else was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantState:
    """What has to be remembered of a tenant."""

    tenant: str
    deficit_us: int
    turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A job to start, and why it was this one."""

    id: str
    tenant: str
    heavy: bool
    cost_us: int
    why: str
    """``turn``, ``fresh``, or ``spare`` (over its cap, as nobody else had a job that may start)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The outcome of one decision."""

    picks: tuple[Pick, ...]
    tenants: tuple[TenantState, ...]
    """Only those that changed."""
    turn: int
    """The round, for the next decision."""


def schedule(
    tenants: Sequence[TenantQueue],
    *,
    free: int,
    slots: int,
    running_heavy: int,
    turn: int,
    settings: FairnessSettings,
    running: int,
) -> Schedule:
    """Choose jobs for ``free`` of ``slots`` slots.

    Args:
        tenants: Every tenant with queued jobs, each once, in any order.
        free: Slots to fill: those of the worker that asks. 0 or less picks nothing.
        slots: Slots of all live workers, the asking one included.
        running: Jobs that run now, of all tenants, also of those without queued ones.
        running_heavy: Heavy jobs among them.
        turn: ``Schedule.turn`` of the last decision; 0 at first.
        settings: Weights are taken from ``tenants``, everything else from here.

    Returns:
        At most ``free`` picks, in the order in which they were chosen; the same for the same arguments.
        Takes ``O((tenants + free) * log tenants)``.
    """
    if settings.scheduling == "fifo":
        return _first_in_first_out(tenants, free, turn)
    turn = max(turn, 1)  # so that a tenant not heard of yet, with nothing left in round 0, has credit
    heavy_left = heavy_cap(slots, settings) - running_heavy
    tenant_cap = max(1, math.floor(settings.tenant_share * slots))
    open_left = slots - math.floor(settings.reserve_share * slots) - running
    """Slots that anybody may have."""
    contenders = [(entry.key(turn), entry) for entry in (_Entry(queue, settings) for queue in tenants)]
    over_cap: list[tuple[tuple[bool, float, str], _Entry]] = []
    heapify(contenders)
    picks: list[Pick] = []
    served: dict[str, _Entry] = {}
    spare = False
    while len(picks) < free:
        if not contenders:
            if spare or not over_cap:
                break
            # Nobody below the cap has a job that may start, and none will get one during this decision.
            contenders, spare = over_cap, True
            heapify(contenders)
        key, entry = heappop(contenders)
        if open_left <= 0 and entry.holds:
            continue  # what is left is for tenants that hold none, and this one will not hold fewer
        if not spare and entry.holds >= tenant_cap:
            over_cap.append((key, entry))
            continue
        chosen = entry.take(heavy=heavy_left > 0)
        if chosen is None:
            continue  # heavy jobs only: the cap does not rise again during this decision, so it is out of it
        candidate, heavy = chosen
        heavy_left -= heavy
        open_left -= 1
        turn = entry.charge(candidate.cost_us, turn)
        why = "spare" if spare else "turn" if key[0] else "fresh"
        tenant = entry.queue.tenant
        picks.append(Pick(id=candidate.id, tenant=tenant, heavy=heavy, cost_us=candidate.cost_us, why=why))
        served[tenant] = entry
        heappush(contenders, (entry.key(turn), entry))
    return Schedule(picks=tuple(picks), tenants=tuple(entry.state() for entry in served.values()), turn=turn)


def _first_in_first_out(tenants: Sequence[TenantQueue], free: int, turn: int) -> Schedule:
    """Nobody's share, nobody's cap."""
    waiting = [
        (candidate.order, candidate.id, heavy, candidate.cost_us, queue.tenant)
        for queue in tenants
        for heavy, lane in ((False, queue.light), (True, queue.heavy))
        for candidate in lane
    ]
    picks = tuple(
        Pick(id=id, tenant=tenant, heavy=heavy, cost_us=cost_us, why="turn")
        for _, id, heavy, cost_us, tenant in nsmallest(free, waiting)
    )
    return Schedule(picks=picks, tenants=(), turn=turn)


def heavy_cap(slots: int, settings: FairnessSettings) -> int:
    """How many of ``slots`` heavy jobs may hold: 1 of 1 or 2, 3 of 4, 6 of 8 with the defaults."""
    return max(1, min(math.floor(settings.heavy_share * slots), slots - 1))


def settle(deficit_us: int, estimated_us: int, actual_us: int) -> int:
    """The deficit when a job has ended: what it used beyond its estimate is charged, what it did not use given back.

    Leave it alone for a claim that was lost: nobody knows what it used, and the estimate stays charged.
    """
    return deficit_us + estimated_us - actual_us


def share_us(weight: float, settings: FairnessSettings) -> int:
    """CPU microseconds that a tenant is given in each round, at least 1."""
    return max(1, round(settings.quantum * weight * 1e6))


def order(submitted: float, priority: Priority, ageing_s: float) -> float:
    """Place of a job among those of its tenant, in seconds; the smallest goes first.

    A class is worth ``ageing_s`` of waiting, so a low job goes before every high one that was submitted more than twice
    that later, and nothing waits for ever. It does not change while a job waits and can be an indexed column.
    """
    return submitted + _CLASSES[priority] * ageing_s


class _Entry:
    """A tenant during one decision."""

    __slots__ = ("_deficit_us", "_fresh", "_heavy", "_light", "_share_us", "_turn", "holds", "queue")

    def __init__(self, queue: TenantQueue, settings: FairnessSettings) -> None:
        self.queue = queue
        self.holds = queue.running
        """Slots."""
        self._deficit_us = queue.deficit_us
        self._turn = queue.turn
        self._fresh = queue.fresh
        self._share_us = share_us(queue.weight, settings)
        self._light = 0
        self._heavy = 0
        if queue.fresh and queue.deficit_us < 0:
            self._deficit_us = min(0, queue.deficit_us + round(queue.idle_s * 1e6))

    def key(self, turn: int) -> tuple[bool, float, str]:
        """The smallest goes next. The name makes it one order, whatever order the store reads in."""
        virtual = self._turn - self._deficit_us / self._share_us
        return not (self._fresh and virtual < turn), virtual, self.queue.tenant

    def take(self, *, heavy: bool) -> tuple[Candidate, bool] | None:
        """The first in order of both lanes, or of the light one alone, and whether it is heavy."""
        light = self.queue.light[self._light] if self._light < len(self.queue.light) else None
        other = self.queue.heavy[self._heavy] if heavy and self._heavy < len(self.queue.heavy) else None
        if other is not None and (light is None or (other.order, other.id) < (light.order, light.id)):
            self._heavy += 1
            return other, True
        if light is None:
            return None
        self._light += 1
        return light, False

    def charge(self, cost_us: int, turn: int) -> int:
        """Take the cost from what the tenant has in this round, or in its next one; that round."""
        turn = max(turn, self._turn + -self._deficit_us // self._share_us + 1)
        bound_us = self._share_us if self._fresh else self._share_us * _OWED_SHARES
        credit_us = min(self._deficit_us + (turn - self._turn) * self._share_us, bound_us)
        self._deficit_us = credit_us - cost_us
        self._turn = turn
        self._fresh = False
        self.holds += 1
        return turn

    def state(self) -> TenantState:
        """As it is to be stored."""
        return TenantState(tenant=self.queue.tenant, deficit_us=self._deficit_us, turn=self._turn)
