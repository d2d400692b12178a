"""Probing by the schedule: who is due, who gets a place, what came of it.

::

    timetable --due--> waiting --a place--> probing --found--> (a failure: can we see?) --> report
                          ^                                                                   |
    confirmation ---------+-------- ahead of all --------                 back in the timetable

Rules:

- One timer, for the next slot; a probe is one task.
- A monitor is in exactly one of these states, so it is never probed twice at once.
- Places are bounded, and those who hang have no more than three quarters of them: a monitor whose last probe took more
  than half of its timeout waits in a queue of its own. The others find a place even when every one of these hangs.
  An eighth is theirs whatever the others need, or nobody would see them recover.
- Who waits for a place keeps its turn: under overload all intervals stretch alike, and the lag is measured and said.
- Confirmations have places besides, so that they begin at once.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from holdfast.netpulse.core.result import NO_PHASES, Failure, Outcome, Phases, Result
from holdfast.netpulse.core.schedule import Slots, Timetable
from holdfast.netpulse.shell.agent.lag import Lag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from holdfast.netpulse.core.protocol import Target
    from holdfast.netpulse.core.settings import MonitorSettings
    from holdfast.netpulse.shell.agent.clock import Clock
    from holdfast.netpulse.shell.agent.ports import Doubter, Finding, Prober

log = logging.getLogger(__name__)

TOGETHER_S: Final = 0.005
"""Slots so close to each other share a wake-up. (Also, uvloop's timers are whole milliseconds, and may be early.)"""
OVERRUN_S: Final = 5.0
"""A probe that is not done so long after its timeout is ended: it is broken, not its target."""
SAY_EVERY_S: Final = 60.0
DETAIL: Final = 200

HUNG: Final = (1, 8), (3, 4)
"""Parts of the places that monitors which hang have for certain, and at most."""
URGENT: Final = 8
"""Places for confirmations: one for so many of the others, and four."""


class _Out:
    """A monitor that is not in the timetable: it waits for a place, or is being probed."""

    __slots__ = ("began", "confirm", "hung", "slot", "task")

    def __init__(self, slot: float | None, *, confirm: bool) -> None:
        self.slot = slot
        self.confirm = confirm
        self.hung = False
        self.began: float | None = None
        self.task: asyncio.Task[None] | None = None


class Watch:
    """Keeps a schedule. :meth:`stop` it at the end."""

    def __init__(
        self,
        prober: Prober,
        doubter: Doubter,
        clock: Clock,
        *,
        places: int,
        report: Callable[[Result, bool], None],
    ) -> None:
        """``report`` gets each result, without its number, and whether it is urgent."""
        self._prober = prober
        self._doubter = doubter
        self._clock = clock
        self._places = max(1, places)
        self._hung_certain, self._hung_most = (max(1, self._places * a // b) for a, b in HUNG)
        self._urgent_places = self._places + self._places // URGENT + 4
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._timetable = Timetable()
        self._targets: dict[str, Target] = {}
        self._out: dict[str, _Out] = {}
        # First come, first served: dicts for their order.
        self._quick: dict[str, None] = {}
        self._slow: dict[str, None] = {}
        self._urgent: dict[str, None] = {}
        self._busy = self._busy_hung = 0
        self._hangs: set[str] = set()
        self._down: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._lag = Lag(clock.steady())
        self._said_at = float("-inf")
        self._stopped = False

    @property
    def probing(self) -> int:
        """Probes that are under way."""
        return self._busy

    @property
    def skipped(self) -> int:
        """Slots that were not used."""
        return self._timetable.skipped

    @property
    def lag_p99_ms(self) -> float:
        """How late checks began, of the last minute."""
        return self._lag.percentile_ms(0.99, self._clock.steady())

    def replace(self, targets: Iterable[Target]) -> None:
        """Watch exactly these. A probe of what has changed or gone is finished, and not reported if it has gone."""
        self._targets = {target.monitor: target for target in targets}
        self._timetable.replace(
            {each.monitor: Slots(each.offset, float(each.spec.interval)) for each in self._targets.values()},
            self._clock.engine_now(),
        )
        self._hangs &= self._targets.keys()
        self._down &= self._targets.keys()
        for waiting in (self._quick, self._slow, self._urgent):
            for monitor in [monitor for monitor in waiting if monitor not in self._targets]:
                del waiting[monitor]
                del self._out[monitor]
        self._arm()

    def confirm(self, monitor: str) -> bool:
        """Probe this now, ahead of the schedule; whether it is watched here. One under way is the confirmation."""
        if self._stopped or monitor not in self._targets:
            return False
        out = self._out.get(monitor)
        if out is None:
            if not self._timetable.take(monitor):
                return False
            out = self._out[monitor] = _Out(None, confirm=True)
        out.confirm = True
        if out.task is None:
            self._quick.pop(monitor, None)
            self._slow.pop(monitor, None)
            self._urgent[monitor] = None
            self._fill()
        return True

    def clock_set(self) -> None:
        """The clock was set: go on by the new time, from the next slots on."""
        self._timetable.replan(self._clock.engine_now())
        for out in self._out.values():
            out.slot = None
        self._arm()

    async def stop(self, within_s: float) -> None:
        """Begin nothing more; what is under way may finish within this time, and is abandoned after it."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for waiting in (self._quick, self._slow, self._urgent):
            for monitor in waiting:
                del self._out[monitor]
            waiting.clear()
        tasks = {out.task for out in self._out.values() if out.task is not None}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=max(0.0, within_s))
            for task in late:
                task.cancel()
            if late:
                log.info("probes were abandoned", extra={"action": "probes_abandoned", "count": len(late)})
                await asyncio.gather(*late, return_exceptions=True)

    # ---------------------------------------------------------------- time

    def _arm(self) -> None:
        at = self._timetable.next_at()
        if at is None or self._stopped:
            return
        when = self._loop.time() + max(0.0, at - self._clock.engine_now()) + TOGETHER_S
        if self._timer is not None:
            if self._timer_at <= when and not self._timer.cancelled():
                return  # it is woken earlier anyway, and looks again then
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock.engine_now()
        for slot, monitor in self._timetable.due(now):
            if monitor in self._out:  # it went and came again while it was probed
                self._timetable.back(monitor, now, slot=slot)
                continue
            self._out[monitor] = _Out(slot, confirm=False)
            (self._slow if monitor in self._hangs else self._quick)[monitor] = None
        self._fill()
        self._arm()

    # ---------------------------------------------------------------- places

    def _fill(self) -> None:
        while self._urgent and self._busy < self._urgent_places:
            self._begin(self._urgent)
        while self._busy < self._places:
            if self._slow and (
                self._busy_hung < self._hung_certain or (not self._quick and self._busy_hung < self._hung_most)
            ):
                self._begin(self._slow)
            elif self._quick:
                self._begin(self._quick)
            else:
                break
        if self._quick or self._slow:
            self._say()

    def _begin(self, waiting: dict[str, None]) -> None:
        monitor = next(iter(waiting))
        del waiting[monitor]
        out = self._out[monitor]
        out.hung = monitor in self._hangs
        self._busy += 1
        self._busy_hung += out.hung
        if out.slot is not None:
            self._lag.add(self._clock.engine_now() - out.slot, self._clock.steady())
        out.task = self._loop.create_task(self._probe(self._targets[monitor], out), name=monitor)

    def _say(self) -> None:
        now = self._clock.steady()
        if now - self._said_at >= SAY_EVERY_S:
            self._said_at = now
            log.warning(
                "no place is free; raise agents.concurrency, or start another agent of this region",
                extra={
                    "action": "agent_saturated",
                    "places": self._places,
                    "hanging": self._busy_hung,
                    "waiting": len(self._quick) + len(self._slow),
                    "lag_p99_ms": round(self.lag_p99_ms, 1),
                },
            )

    # ---------------------------------------------------------------- one probe

    async def _probe(self, target: Target, out: _Out) -> None:
        monitor, clock = target.monitor, self._clock
        began = clock.steady()
        out.began = clock.engine_now()
        try:
            try:
                found = await probed(self._prober, target.spec, self._clock, began)
            finally:
                self._busy -= 1
                self._busy_hung -= out.hung
            hangs = clock.steady() - began > target.spec.timeout / 2
            (self._hangs.add if hangs else self._hangs.discard)(monitor)
            if not self._stopped:
                self._fill()
            await self._conclude(monitor, out, began, found)
        finally:
            if self._out.get(monitor) is out:
                del self._out[monitor]
            self._timetable.back(monitor, clock.engine_now(), slot=out.slot, began=out.began if out.slot else None)
            self._arm()

    async def _conclude(self, monitor: str, out: _Out, began: float, found: Finding) -> None:
        """Report what was found, as far as it can be believed."""
        outcome, failure, detail = found.outcome, found.failure, found.detail
        known = monitor in self._down
        if outcome is Outcome.DOWN and (reason := await self._doubter.doubt(began, known=known)):
            outcome, failure, detail = Outcome.UNKNOWN, Failure.BLIND, reason
        if monitor not in self._targets:
            return
        if outcome is Outcome.DOWN:
            self._down.add(monitor)
        elif outcome is Outcome.UP:
            self._down.discard(monitor)
        self._report(
            told(found, monitor, self._clock.at(began), outcome, failure, detail, confirm=out.confirm),
            out.confirm or (outcome is Outcome.DOWN) != known,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broken:
    """What is found when the probe itself fails."""

    detail: str
    total_ms: float
    outcome: Outcome = Outcome.UNKNOWN
    failure: Failure = Failure.AGENT
    phases: Phases = NO_PHASES
    status: int = 0
    address: str = ""
    cert_days: float | None = None


async def probed(prober: Prober, spec: MonitorSettings, clock: Clock, began: float) -> Finding:
    """What a probe found; one that fails itself, or does not end, says nothing of its target."""
    bound_s = spec.timeout + OVERRUN_S
    try:
        async with asyncio.timeout(bound_s):
            return await prober.probe(spec)
    except TimeoutError:
        detail = f"the probe did not end within {bound_s:g} s"
    except Exception as error:
        log.exception("a probe failed", extra={"action": "probe_failed"})
        detail = f"the probe failed: {type(error).__name__}"
    return _Broken(detail=detail, total_ms=(clock.steady() - began) * 1000.0)


def told(
    found: Finding, monitor: str, at: float, outcome: Outcome, failure: Failure, detail: str, *, confirm: bool
) -> Result:
    """A finding as it is reported, without its number; ``outcome`` is how far it can be believed."""
    return Result(
        monitor=monitor,
        seq=0,
        at=at,
        outcome=outcome,
        failure=failure,
        total_ms=round(found.total_ms, 3),
        phases=found.phases,
        status=found.status,
        detail=detail[:DETAIL],
        address=found.address,
        cert_days=found.cert_days,
        confirm=confirm,
    )
