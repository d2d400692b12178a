"""A queue in memory, first in, first out: what the API's tests need of one."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from holdfast.execution.core.job import TERMINAL, Claim, NewJob, Program, Result, Status, Verdict
from holdfast.execution.core.ports import (
    Accepted,
    Cost,
    DeadLetter,
    Event,
    Finish,
    Given,
    JobView,
    Lease,
    OutputPiece,
    Presence,
    QueueState,
    Refused,
    Returned,
    SubmitOutcome,
    TenantBacklog,
    Tidied,
)
from holdfast.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence


class FakeQueue:
    """Keeps the rules of ``Queue`` that the API relies on; ``broken`` makes the store unreachable."""

    def __init__(self) -> None:
        self.new: dict[str, NewJob] = {}
        self.views: dict[str, JobView] = {}
        self.log: dict[str, list[Event]] = defaultdict(list)
        self.claims: dict[str, tuple[int, str]] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.letters: dict[str, DeadLetter] = {}
        self.groups: list[int] = []
        self.workers: dict[str, Presence] = {}
        self.refuse: Refused | None = None
        self.broken = False
        self.tidied = Tidied()
        self.may_give = asyncio.Event()
        self.may_give.set()
        self.programs_expired = False
        self.renewed: list[Lease] = []
        """By polls, in their order."""
        self.poison: str | None = None
        """A source that the store cannot take."""
        self._signs = 0
        self._changed = asyncio.Condition()
        self._work = 0

    # ------------------------------------------------------------ tenants

    async def submit(self, jobs: Sequence[NewJob], *, now: float, together: bool = False) -> list[SubmitOutcome]:
        await self._answering()
        self.groups.append(len(jobs))
        if any(job.program.files[0].data.decode() == self.poison for job in jobs):
            raise ValueError("poison")
        outcomes = [self._take(job, now) for job in jobs]
        await self._tell()
        return outcomes

    def _take(self, job: NewJob, now: float) -> SubmitOutcome:
        if self.refuse is not None:
            return self.refuse
        if job.idempotency_key is not None:
            before = self.keys.setdefault((job.tenant, job.idempotency_key), job.id)
            if before != job.id:
                if self.new[before].fingerprint != job.fingerprint:
                    return Refused(reason="idempotency_conflict", detail="the key was used with another body")
                return Accepted(id=before, position=0, repeated=True)
        position = sum(view.status is Status.QUEUED for view in self.views.values())
        self.new[job.id] = job
        self.views[job.id] = JobView(
            id=job.id,
            tenant=job.tenant,
            status=Status.QUEUED,
            language=job.program.language,
            priority=job.priority,
            submitted=job.submitted,
            metadata=job.metadata,
            callback_url=job.callback_url,
            deadline=job.deadline,
        )
        self._event(job.id, "queued", now)
        return Accepted(id=job.id, position=position)

    async def job(self, tenant: str, id: str) -> JobView | None:
        await self._answering()
        view = self.views.get(id)
        return view if view is not None and view.tenant == tenant else None

    async def program(self, tenant: str, id: str) -> Program | None:
        return None if await self.job(tenant, id) is None or self.programs_expired else self.new[id].program

    async def jobs(
        self,
        tenant: str,
        *,
        status: Status | None = None,
        verdict: Verdict | None = None,
        limit: int,
        before: str | None,
    ) -> list[JobView]:
        await self._answering()
        found = [
            view
            for id, view in sorted(self.views.items(), reverse=True)
            if view.tenant == tenant and status in {None, view.status} and verdict in {None, view.verdict}
        ]
        return [view for view in found if before is None or view.id < before][:limit]

    async def cancel(self, tenant: str, id: str, *, now: float) -> JobView | None:
        view = await self.job(tenant, id)
        if view is not None and view.status is Status.QUEUED:
            self.end(id, Result(verdict=Verdict.CANCELLED), now)
        elif view is not None and view.status is Status.RUNNING:
            self.views[id] = replace(view, cancel_requested=True)
            self._event(id, "cancelling", now)
        await self._tell()
        return self.views.get(id) if view is not None else None

    async def events(self, tenant: str, id: str, *, after: int, limit: int = 1000) -> list[Event] | None:
        if await self.job(tenant, id) is None:
            return None
        return [event for event in self.log[id] if event.seq > after][:limit]

    async def watch(self, id: str) -> AsyncIterator[None]:
        while True:
            seen = self._signs
            yield
            async with self._changed:
                while self._signs == seen:
                    await self._changed.wait()

    async def dead_letters(self, tenant: str, *, limit: int, before: str | None) -> list[DeadLetter]:
        await self._answering()
        mine = [letter for id, letter in sorted(self.letters.items(), reverse=True) if self.views[id].tenant == tenant]
        return [letter for letter in mine if before is None or letter.id < before][:limit]

    async def replay(
        self, tenant: str, *, ids: Sequence[str] | None, reason: str | None, language: str | None, now: float
    ) -> list[str] | Refused:
        if self.refuse is not None:
            return self.refuse
        done = []
        for letter in await self.dead_letters(tenant, limit=1000, before=None):
            if letter.replayed is None and (ids is None or letter.id in ids):
                self.letters[letter.id] = replace(letter, replayed=now)
                self.views[letter.id] = replace(self.views[letter.id], status=Status.QUEUED)
                self._event(letter.id, "replayed", now)
                done.append(letter.id)
        await self._tell()
        return done

    # ------------------------------------------------------------ workers

    async def give(self, presence: Presence, *, now: float) -> Given:
        await self._answering()
        await self.may_give.wait()
        self.workers[presence.worker] = presence
        self.renewed.extend(presence.held)
        queued = [id for id, view in self.views.items() if view.status is Status.QUEUED][: presence.free]
        claims = tuple(self._claim(id, presence.worker, now) for id in queued)
        kill = tuple(
            Lease(id=id, token=token)
            for id, (token, worker) in self.claims.items()
            if worker == presence.worker and self.views[id].status is Status.RUNNING and self.views[id].cancel_requested
        )
        return Given(claims=claims, kill=kill, seen=self._work)

    def _claim(self, id: str, worker: str, now: float) -> Claim:
        token = self.claims.get(id, (0, ""))[0] + 1
        self.claims[id] = token, worker
        view = self.views[id]
        self.views[id] = replace(
            view, status=Status.RUNNING, started=now, attempts=view.attempts + 1, worker=worker, queued_ms=1.0
        )
        self._event(id, "started", now)
        return Claim(
            id=id,
            tenant=view.tenant,
            token=token,
            attempt=view.attempts + 1,
            program=self.new[id].program,
            deadline=None,
            queued_ms=1.0,
        )

    async def report(
        self,
        worker: str,
        *,
        held: Sequence[Lease],
        output: Sequence[OutputPiece],
        finished: Sequence[Finish],
        returned: Sequence[Returned],
        now: float,
    ) -> Given:
        await self._answering()
        lost = []
        for piece in output:
            if self._holds(worker, piece.id, piece.token):
                self._event(piece.id, piece.stream, now, piece.data)
        for done in finished:
            if self._holds(worker, done.id, done.token):
                self.end(done.id, done.result, now)
            else:
                lost.append(Lease(id=done.id, token=done.token))
        for back in returned:
            if self._holds(worker, back.id, back.token):
                self.views[back.id] = replace(self.views[back.id], status=Status.QUEUED)
        await self._tell()
        return Given(lost=tuple(lost))

    def _holds(self, worker: str, id: str, token: int) -> bool:
        return self.claims.get(id) == (token, worker) and self.views[id].status is Status.RUNNING

    async def wait_for_work(self, *, deadline_s: float, seen: int | None = None) -> None:
        before = self._work if seen is None else seen
        try:
            async with asyncio.timeout(deadline_s), self._changed:
                while self._work == before:
                    await self._changed.wait()
        except TimeoutError:
            pass

    # ------------------------------------------------------------ figures

    async def state(self, *, now: float) -> QueueState:
        await self._answering()
        queued = [view for view in self.views.values() if view.status is Status.QUEUED]
        running = [view for view in self.views.values() if view.status is Status.RUNNING]
        tenants = {view.tenant for view in queued + running}
        return QueueState(
            queued=len(queued),
            running=len(running),
            backlog_us=100_000 * len(queued),
            oldest_s=max((now - view.submitted for view in queued), default=0.0),
            slots=sum(presence.slots for presence in self.workers.values()),
            workers=len(self.workers),
            drain_us_per_s=1e6,
            per_tenant={
                tenant: TenantBacklog(
                    queued=sum(view.tenant == tenant for view in queued),
                    running=sum(view.tenant == tenant for view in running),
                    backlog_us=100_000 * sum(view.tenant == tenant for view in queued),
                    used_today_us=0,
                )
                for tenant in tenants
            },
        )

    async def costs(self, tenant: str, *, days: int, now: float) -> list[Cost]:
        await self._answering()
        mine = [view for view in self.views.values() if view.tenant == tenant and view.status in TERMINAL]
        return [Cost(day="2026-01-01", language="python", jobs=len(mine), cpu_us=250_000 * len(mine))] if mine else []

    async def languages(self, *, now: float) -> Mapping[str, str]:
        await self._answering()
        return {name: version for presence in self.workers.values() for name, version in presence.languages.items()}

    async def tidy(self, *, now: float) -> Tidied:
        await self._answering()
        return self.tidied

    # ------------------------------------------------------------ for tests

    def end(self, id: str, result: Result, now: float) -> None:
        """A job has ended."""
        self.views[id] = replace(
            self.views[id],
            status=Status.FINISHED,
            finished=now,
            result=result,
            verdict=result.verdict,
            expires=now + 60,
        )
        self._event(id, "finished", now, msgspec.json.encode({"verdict": result.verdict}))

    async def die(self, id: str, now: float) -> None:
        """A job's attempts are used up."""
        view = self.views[id] = replace(self.views[id], status=Status.DEAD, dead_reason="lost", finished=now)
        self.letters[id] = DeadLetter(id=id, language=view.language, died=now, reason="lost", attempts=3)
        self._event(id, "dead", now, b'{"reason":"lost"}')
        await self._tell()

    async def print(self, id: str, stream: str, data: bytes) -> None:
        """A job writes."""
        self._event(id, stream, 0.0, data)
        await self._tell()

    def _event(self, id: str, kind: str, now: float, data: bytes = b"{}") -> None:
        self.log[id].append(Event(seq=len(self.log[id]) + 1, kind=kind, at=now, data=data))  # type: ignore[arg-type]

    async def _answering(self) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise StoreUnavailable("the disk is on fire")

    async def _tell(self) -> None:
        async with self._changed:
            self._signs += 1
            self._work += 1
            self._changed.notify_all()
