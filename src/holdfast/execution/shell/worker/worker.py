"""The worker: slots, claims, and the two conversations with the API.

::

    sync   ---- free slots, leases held ---->  API  ---- jobs, kill orders, lost leases ---->  claims
    report ---- output, results, renewals -->  API  ---- receipt: kill orders, lost leases -->  free slots

Rules:

- A slot is taken by a claim and free again when the API has the result, or the lease is lost. So there is never
  more to remember than there are slots.
- A sync that asks for jobs is never abandoned while the worker goes on: the API may have claimed for it already. One
  that asks for none is abandoned as soon as a slot is free.
- Monotonic time for everything but the jobs' deadlines.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final, Protocol

from holdfast.execution.core.protocol import Sync
from holdfast.execution.shell.worker.claims import Claim, GiveBack
from holdfast.execution.shell.worker.errors import Rejected, Unanswered
from holdfast.execution.shell.worker.outbox import Key, Outbox, keys
from holdfast.execution.shell.worker.outcome import on_wire
from holdfast.resilience import equal_jitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from random import Random

    from holdfast.execution.core.job import Result
    from holdfast.execution.core.protocol import Held, WireJob
    from holdfast.execution.core.task import OnOutput, Stream
    from holdfast.execution.shell.worker.link import Api

log = logging.getLogger(__name__)

SYNC_WAIT_S: Final = 5.0
"""How long the API may hold a sync. Into one that belongs to a frozen or cut off worker it gives jobs, each of which
then waits for a lease to run out; so no longer than it takes to notice otherwise, the time between two renewals."""
PAUSE_S: Final = 0.1
"""With no free slot, a sync is opened only after this: short jobs free one sooner, and save the request."""
BACKOFF_S: Final = (0.1, 5.0)
"""First and longest ceiling between two attempts to reach the API."""
FAREWELL_S: Final = 10.0
"""How long the last reports may take when the worker stops; what is not received then, the lease settles."""


class Runs(Protocol):
    """What brings a claim to its end: :class:`~.claims.Runner`."""

    async def run(self, claim: Claim, on_output: OnOutput | None) -> Result:
        """The result. Raises :class:`~.claims.GiveBack` when there is none."""
        ...


class Worker:
    """Runs jobs until told to stop."""

    def __init__(
        self,
        api: Api,
        runner: Runs,
        *,
        name: str,
        epoch: str,
        slots: int,
        languages: Mapping[str, str],
        tier: str,
        renew_s: float,
        drain_s: float,
        rng: Random,
        utc: Callable[[], float],
    ) -> None:
        self._api = api
        self._runner = runner
        self._name, self._epoch, self._slots = name, epoch, slots
        self._languages, self._tier = dict(languages), tier
        self._drain_s = drain_s
        self._rng = rng
        self._utc = utc
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(name, epoch, renew_s=renew_s, now=self._loop.time())
        self._claims: dict[Key, Claim] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._draining = False
        self._stopping = asyncio.Event()
        self._report_due = asyncio.Event()
        self._slot_freed = asyncio.Event()
        self._answered = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._sync: asyncio.Task[int] | None = None
        self._asked_for = 0

    @property
    def free(self) -> int:
        """Slots for which a job can be started now."""
        return 0 if self._draining else self._slots - len(self._claims)

    @property
    def idle(self) -> bool:
        """Nothing runs; results may still wait for their receipt."""
        return not self._running

    def stop(self) -> None:
        """Take no more jobs, end as :meth:`run` says. A second call kills what runs at once."""
        if self._draining:
            self._kill_all()
        self._draining = True
        self._stopping.set()

    async def run(self) -> int:
        """Work until :meth:`stop`; then running jobs may finish for the drain timeout, and go back to the queue."""
        talks = [
            asyncio.create_task(self._sync_forever(), name="worker: sync"),
            asyncio.create_task(self._report_forever(), name="worker: report"),
        ]
        stopping = asyncio.create_task(self._stopping.wait(), name="worker: stop")
        try:
            await asyncio.wait({*talks, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in talks:
                if task.done():
                    await task  # raises: neither ends by itself
            await self._drain()
            return 0
        finally:
            stopping.cancel()
            for task in (*talks, *self._running):
                task.cancel()
            await asyncio.gather(stopping, *talks, *self._running, return_exceptions=True)

    async def _drain(self) -> None:
        log.info("draining", extra={"action": "worker_draining", "running": len(self._claims)})
        if self._sync is not None:
            self._sync.cancel()  # the API notices, and claims nothing for it; from now on none is asked for
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_s):
                await self._empty.wait()
        self._kill_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._empty.wait()
        if self._claims:
            log.warning(
                "stopped without a receipt; the leases will run out",
                extra={"action": "worker_unreported", "jobs": [id for id, _ in self._claims]},
            )

    def _kill_all(self) -> None:
        for claim in self._claims.values():
            claim.stop("shutdown")

    # ---------------------------------------------------------------- sync

    async def _sync_forever(self) -> None:
        failures = 0
        while True:
            self._slot_freed.clear()
            if not self.free:
                await self._pause()
            self._asked_for = self.free
            asked_at = self._loop.time()
            self._sync = asyncio.create_task(self._sync_once(self._asked_for), name="worker: one sync")
            try:
                await asyncio.wait({self._sync})
            finally:
                if not self._sync.done():  # the worker ends: nothing may be left of it
                    self._sync.cancel()
                    await asyncio.wait({self._sync})
            if self._sync.cancelled():  # abandoned, to ask again with what is free now
                continue
            error = self._sync.exception()
            if error is None:
                failures = 0
                if not self._sync.result() and self._loop.time() - asked_at < PAUSE_S:
                    await self._pause()  # told at once, and no job: a kill order is repeated until the job is over
            elif isinstance(error, (Unanswered, Rejected)):
                await self._back_off("sync", failures, error)
                failures += 1
            else:
                raise error

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_S):
                await self._slot_freed.wait()

    async def _sync_once(self, free: int) -> int:
        """Ask once; the number of jobs that came."""
        orders = await self._api.sync(
            Sync(
                worker=self._name,
                epoch=self._epoch,
                slots=self._slots,
                free=free,
                held=self._outbox.held,
                languages=self._languages,
                tier=self._tier,
                wait_s=SYNC_WAIT_S,
            )
        )
        self._answered.set()
        self._outbox.renewed(self._loop.time())
        self._obey(orders.kill, orders.lost)
        for job in orders.jobs:
            self._start(job)
        return len(orders.jobs)

    def _obey(self, kill: Iterable[Held], lost: Iterable[Held]) -> None:
        for key in keys(kill):
            if (claim := self._claims.get(key)) is not None:
                claim.stop("cancelled")
        for key in keys(lost):
            if (claim := self._claims.get(key)) is not None:
                log.warning("lease lost", extra={"action": "lease_lost", "job": key[0], "fence": key[1]})
                claim.stop("lost")
                self._outbox.forget(key)
                if claim.over:
                    self._release(key)

    async def _back_off(self, what: str, failures: int, error: Exception) -> None:
        base, cap = BACKOFF_S
        wait_s = equal_jitter(failures, self._rng, base_s=base, cap_s=cap)
        log.warning(
            "no answer", extra={"action": f"{what}_failed", "error": str(error), "again_in_s": round(wait_s, 3)}
        )
        self._answered.clear()
        with contextlib.suppress(TimeoutError):  # ends early when the API answers the other conversation
            async with asyncio.timeout(wait_s):
                await self._answered.wait()

    # ---------------------------------------------------------------- jobs

    def _start(self, job: WireJob) -> None:
        claim = Claim(job)
        if claim.key in self._claims:
            return  # told twice
        self._claims[claim.key] = claim
        if self._empty.is_set():
            self._empty.clear()
            self._report_due.set()  # from now on there is a lease to renew
        self._outbox.hold(claim.key)
        if self._draining or len(self._claims) > self._slots:
            claim.over = True
            self._outbox.give_back(claim.key, "the worker had no free slot for it", counts=False)
            self._report_due.set()
            return
        task = asyncio.create_task(self._run(claim), name=f"job {job.id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, claim: Claim) -> None:
        job = claim.job
        deadline = None
        if job.deadline is not None:
            deadline = self._loop.call_later(max(0.0, job.deadline - self._utc()), claim.stop, "expired")
        try:
            result = await self._runner.run(claim, self._live(claim.key) if job.live else None)
            self._outbox.finish(on_wire(job, result))
            self._over(claim)
        except GiveBack as back:
            self._gave_back(claim, back)
        except Exception as error:
            log.exception("a job could not be run", extra={"action": "job_failed", "job": job.id})
            self._gave_back(claim, GiveBack(f"{type(error).__name__}: {error}"))
        finally:
            if deadline is not None:
                deadline.cancel()

    def _gave_back(self, claim: Claim, back: GiveBack) -> None:
        if claim.stopped != "lost":
            log.warning("given back", extra={"action": "job_given_back", "job": claim.job.id, "reason": back.reason})
        self._outbox.give_back(claim.key, back.reason, counts=back.counts)
        self._over(claim)

    def _over(self, claim: Claim) -> None:
        claim.over = True
        if claim.stopped == "lost":
            self._release(claim.key)
        else:
            self._report_due.set()

    def _release(self, key: Key) -> None:
        if self._claims.pop(key, None) is None:
            return
        if not self._claims:
            self._empty.set()
        self._slot_freed.set()
        if self._sync is not None and not self._asked_for and self.free:
            self._sync.cancel()

    def _live(self, key: Key) -> OnOutput:
        def on_output(stream: Stream, data: bytes) -> None:
            if self._outbox.output(key, stream, data, self._loop.time()):
                self._report_due.set()

        return on_output

    # ---------------------------------------------------------------- reports

    async def _report_forever(self) -> None:
        """One report at a time: what comes up while it is under way goes into the next one together."""
        failures, alone = 0, False
        while True:
            self._report_due.clear()
            due = self._outbox.due_at()
            if due is None or due > self._loop.time():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._report_due.wait()
                continue
            report = self._outbox.report(alone=alone)
            try:
                receipt = await self._api.report(report)
            except Unanswered as error:
                await self._back_off("report", failures, error)
                failures += 1
            except Rejected as error:
                if alone:
                    log.error("the API rejects a report", extra={"action": "report_rejected", "error": str(error)})  # noqa: TRY400
                    for key in self._outbox.rejected(report, f"the API rejected its result: {error}"):
                        self._release(key)
                    await self._back_off("report", failures, error)
                    failures += 1
                alone = True  # to find out which part of it is wrong
            else:
                failures, alone = 0, False
                self._answered.set()
                for key in self._outbox.delivered(report, self._loop.time()):
                    self._release(key)
                self._obey(receipt.kill, receipt.lost)
