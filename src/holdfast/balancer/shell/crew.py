"""All workers of one master: how many there are, what they counted, whether they answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Final

from holdfast.balancer.core.messages import Ask, Configure, Ready, Stats, ToMaster, ToWorker
from holdfast.balancer.errors import WorkerError
from holdfast.balancer.shell.metrics import MergedStats
from holdfast.balancer.shell.workers import Owner, RestartPolicy, WorkerSlot

log = logging.getLogger(__name__)

ASK_DEADLINE_S: Final = 1.0
SILENT_LIMIT: Final = 5
"""Unanswered questions in a row after which a worker counts as hung and is replaced. They are
counted rather than timed, so that a machine that slept does not kill healthy workers."""
APPLY_DEADLINE_S: Final = 10.0
"""For a worker to take a configuration; one that does not is replaced, and its successor
starts with the new one."""
DRAIN_GRACE_S: Final = 1.0
"""Beyond the drain timeout, which the workers themselves keep to."""


class Crew:
    """The slots by number, from 0. Passes on to ``owner`` what slots tell it."""

    def __init__(
        self, owner: Owner, group: asyncio.TaskGroup, command: Sequence[str], policy: RestartPolicy, rng: Random
    ) -> None:
        """Nothing starts before :meth:`scale`. Tasks run in ``group``."""
        self.stats = MergedStats()
        self.failed = False
        """A worker could not be kept running; the crew stops itself then."""
        self.stopping = asyncio.Event()
        """Somebody wants an end: nothing is started or replaced any more."""
        self._owner = owner
        self._group = group
        self._command = command
        self._policy = policy
        self._rng = rng
        self._wanted = 0
        self._drain_s = 0.0
        self._slots: dict[int, WorkerSlot] = {}
        self._keepers: dict[int, asyncio.Task[None]] = {}
        self._refusals: dict[int, tuple[int, str]] = {}
        self._answered: dict[int, int] = {}
        self._asked = 0
        self._asking: asyncio.Task[set[int]] | None = None
        self._moved = asyncio.Event()

    def scale(self, workers: int, drain_s: float) -> None:
        """Start or drain workers until there are so many; ``drain_s`` bounds how long one may take to finish."""
        self._wanted, self._drain_s = workers, drain_s
        for number in range(workers):
            if number not in self._slots:
                slot = WorkerSlot(number, self, self._command, self._policy, self._rng)
                self._slots[number] = slot
                self._keepers[number] = self._group.create_task(self._keep(slot), name=f"worker {number}")
        for number, slot in self._slots.items():
            if number >= workers:
                slot.drain(drain_s)

    @property
    def started(self) -> bool:
        """Whether workers were asked for."""
        return self._wanted > 0

    def serving(self) -> list[int]:
        """The numbers of the workers that take requests."""
        return [number for number, slot in self._slots.items() if slot.state == "serving"]

    def states(self) -> dict[int, str]:
        """What each slot is doing."""
        return {number: slot.state for number, slot in self._slots.items()}

    def post(self, message: ToWorker, to: int | None = None) -> list[int]:
        """Send a message to one worker or to all; who could take it."""
        slots = self._slots.values() if to is None else [slot for slot in (self._slots.get(to),) if slot is not None]
        return [slot.number for slot in slots if slot.post(message)]

    async def until(self, reached: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Whether the condition came true before the time was up or an end was wanted.

        The condition is looked at whenever a worker said something or changed its state, and after :meth:`look`.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not reached() and not self.stopping.is_set():
                    self._moved.clear()
                    await self._moved.wait()
        return reached()

    def look(self) -> None:
        """Something that :meth:`until` may be waiting for has happened."""
        self._moved.set()

    def in_force(self, generation: int) -> bool:
        """Whether every worker that should be there has this configuration."""
        return all(n in self._slots and self._slots[n].generation >= generation for n in range(self._wanted))

    async def roll_out(self, configuration: Configure) -> str | None:
        """Give every worker a configuration; why one refused it, if one did."""
        generation = configuration.generation
        told = [self._slots[number] for number in self.post(configuration)]

        def missing() -> list[WorkerSlot]:
            # A worker that ended meanwhile starts anew with these settings; it is not waited for.
            return [
                slot
                for slot in told
                if slot.state in ("starting", "serving")
                and slot.generation < generation
                and self._refusals.get(slot.number, (0, ""))[0] < generation
            ]

        if not await self.until(lambda: not missing(), APPLY_DEADLINE_S) and not self.stopping.is_set():
            for slot in missing():
                log.warning("worker does not apply", extra={"action": "worker_kill", "worker": slot.number})
                slot.replace()
        return next((why for refused, why in self._refusals.values() if refused == generation), None)

    async def ask(self) -> set[int]:
        """Fetch the counters of all workers; who did not answer. Concurrent callers share one round."""
        if self._asking is None or self._asking.done():
            self._asking = self._group.create_task(self._ask(), name="ask")
        return await asyncio.shield(self._asking)

    async def drain(self, timeout_s: float, cut: asyncio.Event) -> None:
        """Let all workers finish; kill those that have not when the time is up, or when ``cut`` is set."""
        self.stopping.set()
        for slot in self._slots.values():
            slot.drain(timeout_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s + DRAIN_GRACE_S):
                while self._keepers and not cut.is_set():
                    self._moved.clear()
                    await self._moved.wait()
        for slot in self._slots.values():
            slot.kill()
        await asyncio.gather(*self._keepers.values())

    # What slots say (holdfast.balancer.shell.workers.Owner)

    def welcome(self, slot: WorkerSlot) -> Sequence[ToWorker]:
        """Ask the owner what a fresh worker is told first."""
        return self._owner.welcome(slot)

    def heard(self, slot: WorkerSlot, message: ToMaster) -> None:
        """Note answers, and pass everything on."""
        match message:
            case Stats(number):
                self.stats.take(slot.number, message)
                self._answered[slot.number] = number
            case Ready(_, generation, str(error)):
                self._refusals[slot.number] = (generation, error)
        self._owner.heard(slot, message)
        self._moved.set()

    def lost(self, slot: WorkerSlot, code: int) -> None:
        """Keep what the worker counted, and pass it on."""
        self.stats.retire(slot.number)
        self._answered.pop(slot.number, None)
        self._owner.lost(slot, code)
        self._moved.set()

    async def _keep(self, slot: WorkerSlot) -> None:
        try:
            await slot.run()
        except WorkerError as gave_up:
            log.critical("giving up", extra={"action": "give_up", "worker": slot.number, "why": str(gave_up)})
            self.failed = True
            self.stopping.set()
        finally:
            del self._slots[slot.number], self._keepers[slot.number]
            self._moved.set()
        if not self.stopping.is_set():
            # The number of workers may have gone down and up again while this one drained.
            self.scale(self._wanted, self._drain_s)

    async def _ask(self) -> set[int]:
        self._asked += 1
        number = self._asked
        asked = [self._slots[n] for n in self.serving() if self._slots[n].post(Ask(number))]

        def silent() -> list[WorkerSlot]:
            return [slot for slot in asked if slot.state == "serving" and self._answered.get(slot.number, 0) < number]

        await self.until(lambda: not silent(), ASK_DEADLINE_S)
        stale = [] if self.stopping.is_set() else silent()
        for slot in asked:
            slot.silent = slot.silent + 1 if slot in stale else 0
            if slot.silent >= SILENT_LIMIT:
                log.error("worker hangs", extra={"action": "worker_kill", "worker": slot.number})
                slot.replace()
        return {slot.number for slot in stale}
