"""Sessions, runs and events in the store: what is promised is written here first."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from holdfast.gateway.core.ports import Holder
from holdfast.gateway.core.run_events import Ended, Queued, RunEvent
from holdfast.gateway.core.run_prompts import HISTORY_RUNS, Past
from holdfast.gateway.core.runs import ENDED, Run, Task
from holdfast.gateway.errors import GatewayError, Refused
from holdfast.gateway.shell.sessions.schema import COMPONENT, VERSIONS
from holdfast.store import Database, Row, StoreConflict, Tx

EVENTS: Final = "gateway_run_events"
"""Channel: a run that has a new event."""
ORDERS: Final = "gateway_runs"
"""Channel: a run that waits for an owner, or is to be cancelled."""
LEASE_S: Final = 30.0
"""How long a process that died keeps a run from the others."""
QUEUED_OF_TENANT: Final = 1_000
_PAGE: Final = 500
_TRIM: Final = 200


class Superseded(GatewayError):
    """Another process has the run."""


class Idempotency(Refused):
    """The key came with another message before."""

    def __init__(self) -> None:
        super().__init__("conflict", "this Idempotency-Key came with another message before; use a new one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What its runs have in common."""

    id: str
    tenant: str
    key_id: str
    created: float
    used: float
    model: str
    system: str
    tools: tuple[str, ...] | None
    """``None``: whatever the key may use."""
    metadata: dict[str, Any]


class Spec(msgspec.Struct, frozen=True):
    """``data`` of a session."""

    model: str
    system: str
    tools: tuple[str, ...] | None
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A run as it is stored, but for its events."""

    id: str
    session: str
    number: int
    tenant: str
    key_id: str
    state: str
    cancelled: bool
    owner: str
    events: int
    created: float
    updated: float
    task: Task
    holder: Holder
    answer: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An event and when it happened."""

    number: int
    at: float
    event: RunEvent


_RUN: Final = (
    "id, session, number, tenant, key_id, state, cancelled, owner, events, created, updated, task, answer, idempotency,"
    " body"
)
_EVENT: Final = msgspec.json.Decoder(RunEvent)
_SPEC: Final = msgspec.json.Decoder(Spec)


class SessionStore:
    """The tables, on either database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> None:
        """Bring the tables up to date. Raises ``StoreError``."""
        await self._database.migrate(COMPONENT, VERSIONS)

    # ------------------------------------------------------------ sessions

    async def create(self, tenant: str, key_id: str, spec: Spec, *, now: float) -> Session:
        """Make a session."""
        id = f"ses_{uuid.uuid4().hex}"
        data = msgspec.json.encode(spec)
        await self._database.write(
            lambda tx: tx.run(
                "INSERT INTO gateway_sessions (id, tenant, key_id, created, used, data) VALUES (?, ?, ?, ?, ?, ?)",
                id,
                tenant,
                key_id,
                now,
                now,
                data,
            )
        )
        return _session((id, tenant, key_id, now, now, data))

    async def session(self, tenant: str, id: str) -> Session | None:
        """A session of a tenant; ``None`` for another's as for none."""
        return await self._database.read(lambda tx: _find_session(tx, tenant, id))

    async def runs(self, tenant: str, session: str, *, limit: int = 100) -> list[Record]:
        """Runs of a session, newest first."""
        sql = f"SELECT {_RUN} FROM gateway_runs WHERE session = ? AND tenant = ? ORDER BY number DESC LIMIT ?"  # noqa: S608 - names of columns
        return [_record(row) for row in await self._database.read(lambda tx: tx.all(sql, session, tenant, limit))]

    async def past(self, session: str, *, before: int) -> list[Past]:
        """What earlier runs of a session came to: those that succeeded, oldest first."""
        sql = (
            "SELECT task, answer FROM gateway_runs WHERE session = ? AND number < ? AND state = 'succeeded'"
            " ORDER BY number DESC LIMIT ?"
        )
        rows = await self._database.read(lambda tx: tx.all(sql, session, before, HISTORY_RUNS))
        found = [(msgspec.json.decode(task)["task"]["text"], bytes(answer or b"").decode()) for task, answer in rows]
        return [Past(text=text, answer=answer) for text, answer in reversed(found)]

    # ------------------------------------------------------------ runs

    async def add(
        self, session: Session, holder: Holder, task: Task, *, idempotency: str | None, body: str, now: float
    ) -> tuple[Record, bool]:
        """Queue a run, and whether it is new: the same key and body again give the run that there is.

        Raises :class:`Refused` (``conflict``) when a run of the session is under way, and :class:`Idempotency`.
        """
        id = f"run_{uuid.uuid4().hex}"
        data = msgspec.json.encode({"task": asdict(task), "holder": asdict(holder)})
        first = msgspec.json.encode(Queued(text=task.text))

        def work(tx: Tx) -> tuple[Record, bool]:
            waiting = tx.one("SELECT count(*) FROM gateway_runs WHERE ended = 0 AND tenant = ?", session.tenant)
            last = tx.one(
                "SELECT number, ended, id FROM gateway_runs WHERE session = ? ORDER BY number DESC LIMIT 1", session.id
            )
            # Looked for after what may refuse it: each statement sees what others have written until then, so a run
            # of this key that one of the two above has counted is found here.
            if idempotency is not None:
                sql = f"SELECT {_RUN} FROM gateway_runs WHERE session = ? AND idempotency = ?"  # noqa: S608 - names of columns
                row = tx.one(sql, session.id, idempotency)
                if row is not None:
                    if row[-1] != body:
                        raise Idempotency
                    return _record(row), False
            if waiting is not None and waiting[0] >= QUEUED_OF_TENANT:
                text = f"{QUEUED_OF_TENANT} runs of this tenant wait or are under way"
                raise Refused("rate_limited", text, retry_after_s=5.0, retryable=True)
            if last is not None and not last[1]:
                raise Refused("conflict", f"run {last[2]} of this session is under way; wait for it, or cancel it")
            number = 1 if last is None else last[0] + 1
            tx.run(
                "INSERT INTO gateway_runs (id, session, number, tenant, key_id, idempotency, body, state, ended,"
                " cancelled, owner, lease, events, created, updated, task)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', 0, 0, '', 0, 1, ?, ?, ?)",
                id,
                session.id,
                number,
                session.tenant,
                holder.key_id,
                idempotency,
                body,
                now,
                now,
                data,
            )
            tx.run("INSERT INTO gateway_run_events (run, number, at, data) VALUES (?, 1, ?, ?)", id, now, first)
            tx.run("UPDATE gateway_sessions SET used = ? WHERE id = ?", now, session.id)
            tx.notify(ORDERS, id)
            made = _find(tx, id)
            if made is None:
                raise AssertionError("the run that was just made is not there")
            return made, True

        try:
            return await self._database.write(work)
        except StoreConflict:
            # Another process added one at the same time: now it is there, and is judged as any other.
            return await self._database.write(work)

    async def run(self, id: str, *, tenant: str | None = None) -> Record | None:
        """A run; with ``tenant`` only one of that tenant."""
        found = await self._database.read(lambda tx: _find(tx, id))
        return found if found is None or tenant is None or found.tenant == tenant else None

    async def events(self, run: str, *, after: int = 0, limit: int = _PAGE) -> list[Stored]:
        """What happened in a run after an event, oldest first."""
        sql = "SELECT number, at, data FROM gateway_run_events WHERE run = ? AND number > ? ORDER BY number LIMIT ?"
        rows = await self._database.read(lambda tx: tx.all(sql, run, after, limit))
        return [Stored(number=number, at=at, event=_EVENT.decode(data)) for number, at, data in rows]

    async def append(self, id: str, owner: str, event: RunEvent, after: Run, *, now: float) -> None:
        """Store the next event; ``after`` is the run with it. The same again changes nothing.

        Raises :class:`Superseded` when another process has the run by now.
        """
        data = msgspec.json.encode(event)
        answer = None if after.answer is None else after.answer.encode()

        def work(tx: Tx) -> None:
            changed = tx.run(
                "UPDATE gateway_runs SET state = ?, ended = ?, events = ?, updated = ?, lease = ?, answer = ?"
                " WHERE id = ? AND owner = ? AND events = ?",
                after.state,
                int(after.ended),
                after.events,
                now,
                now + LEASE_S,
                answer,
                id,
                owner,
                after.events - 1,
            )
            if not changed:
                _was_stored(tx, id, owner, after.events, data)
                return
            sql = "INSERT INTO gateway_run_events (run, number, at, data) VALUES (?, ?, ?, ?)"
            tx.run(sql, id, after.events, now, data)
            if after.ended:
                tx.run(
                    "UPDATE gateway_sessions SET used = ? WHERE id = (SELECT session FROM gateway_runs WHERE id = ?)",
                    now,
                    id,
                )
            tx.notify(EVENTS, id)

        await self._database.write(work)

    # ------------------------------------------------------------ who works on what

    async def claim(self, owner: str, *, room: int, full: Collection[str], now: float) -> list[Record]:
        """Take runs that nobody works on, oldest first, at most ``room``, none of the tenants ``full``."""
        marks = f" AND tenant NOT IN ({', '.join('?' * len(full))})" if full else ""
        sql = (
            "SELECT id FROM gateway_runs WHERE ended = 0 AND (owner = '' OR lease < ?)"  # noqa: S608 - marks only
            f"{marks} ORDER BY created LIMIT ?"
        )

        def work(tx: Tx) -> list[Record]:
            taken = []
            for (id,) in tx.all(sql, now, *full, room):
                # Under PostgreSQL another process may have taken it since; the condition is judged again.
                if tx.run(
                    "UPDATE gateway_runs SET owner = ?, lease = ? WHERE id = ? AND ended = 0"
                    " AND (owner = '' OR lease < ?)",
                    owner,
                    now + LEASE_S,
                    id,
                    now,
                ):
                    record = _find(tx, id)
                    if record is not None:
                        taken.append(record)
            return taken

        if await self._database.read(lambda tx: tx.one(sql, now, *full, 1)) is None:
            return []  # a look costs a read; only when there is something, a write
        return await self._database.write(work)

    async def renew(self, owner: str, runs: Collection[str], *, now: float) -> set[str]:
        """Keep runs from others for another :data:`LEASE_S`; those that are still this owner's."""
        rows = [(now + LEASE_S, id, owner) for id in runs]

        def work(tx: Tx) -> set[str]:
            tx.many("UPDATE gateway_runs SET lease = ? WHERE id = ? AND owner = ? AND ended = 0", rows)
            mine = tx.all("SELECT id FROM gateway_runs WHERE owner = ? AND ended = 0", owner)
            return {str(row[0]) for row in mine}

        return await self._database.write(work)

    async def release(self, owner: str) -> None:
        """Give back all that an owner has: it ends, or it begins anew under the same name."""

        def work(tx: Tx) -> None:
            if tx.run("UPDATE gateway_runs SET owner = '', lease = 0 WHERE owner = ? AND ended = 0", owner):
                tx.notify(ORDERS, "")

        await self._database.write(work)

    async def cancel(self, tenant: str, id: str, *, now: float) -> Record | None:
        """Ask for the end of a run; one that nobody works on ends here. ``None`` when there is no such run."""
        ended = Ended(state="cancelled", reason="cancelled", message="it was cancelled before it began")

        def work(tx: Tx) -> Record | None:
            record = _find(tx, id)
            if record is None or record.tenant != tenant:
                return None
            if record.ended:
                return record
            # The owner is judged by the statement that writes: it may be taken in this moment.
            if tx.run(
                "UPDATE gateway_runs SET cancelled = 1, state = 'cancelled', ended = 1, events = events + 1,"
                " updated = ? WHERE id = ? AND owner = '' AND ended = 0 AND events = 1",
                now,
                id,
            ):
                sql = "INSERT INTO gateway_run_events (run, number, at, data) VALUES (?, 2, ?, ?)"
                tx.run(sql, id, now, msgspec.json.encode(ended))
                tx.notify(EVENTS, id)
            else:
                tx.run("UPDATE gateway_runs SET cancelled = 1 WHERE id = ? AND ended = 0", id)
                tx.notify(ORDERS, id)
            return _find(tx, id)

        return await self._database.write(work)

    async def to_cancel(self, owner: str) -> set[str]:
        """Runs of an owner that are to end."""
        sql = "SELECT id FROM gateway_runs WHERE owner = ? AND ended = 0 AND cancelled = 1"
        return {str(row[0]) for row in await self._database.read(lambda tx: tx.all(sql, owner))}

    async def trim(self, *, before: float) -> int:
        """Remove some sessions that were last used before a time, with all their runs; how many."""

        def work(tx: Tx) -> int:
            rows = tx.all(
                "SELECT id FROM gateway_sessions s WHERE used < ? AND NOT EXISTS"
                " (SELECT 1 FROM gateway_runs r WHERE r.session = s.id AND r.ended = 0) LIMIT ?",
                before,
                _TRIM,
            )
            tx.many("DELETE FROM gateway_run_events WHERE run IN (SELECT id FROM gateway_runs WHERE session = ?)", rows)
            tx.many("DELETE FROM gateway_runs WHERE session = ?", rows)
            tx.many("DELETE FROM gateway_sessions WHERE id = ?", rows)
            return len(rows)

        return await self._database.write(work)


def _was_stored(tx: Tx, id: str, owner: str, number: int, data: bytes) -> None:
    """Whether this very event is there already: a commit that was not confirmed. Raises :class:`Superseded`."""
    row = tx.one("SELECT owner, events FROM gateway_runs WHERE id = ?", id)
    last = tx.one("SELECT data FROM gateway_run_events WHERE run = ? AND number = ?", id, number)
    if row is None or (row[0], row[1]) != (owner, number) or last is None or bytes(last[0]) != data:
        raise Superseded(f"run {id} is another process's by now")


def _find_session(tx: Tx, tenant: str, id: str) -> Session | None:
    row = tx.one(
        "SELECT id, tenant, key_id, created, used, data FROM gateway_sessions WHERE id = ? AND tenant = ?", id, tenant
    )
    return None if row is None else _session(row)


def _session(row: Row) -> Session:
    id, tenant, key_id, created, used, data = row
    spec = _SPEC.decode(data)
    return Session(
        id=id,
        tenant=tenant,
        key_id=key_id,
        created=created,
        used=used,
        model=spec.model,
        system=spec.system,
        tools=spec.tools,
        metadata=spec.metadata,
    )


def _find(tx: Tx, id: str) -> Record | None:
    row = tx.one(f"SELECT {_RUN} FROM gateway_runs WHERE id = ?", id)  # noqa: S608 - names of columns
    return None if row is None else _record(row)


def _record(row: Row) -> Record:
    id, session, number, tenant, key_id, state, cancelled, owner, events, created, updated, task, answer, *_ = row
    what: dict[str, Any] = msgspec.json.decode(task)
    return Record(
        id=id,
        session=session,
        number=number,
        tenant=tenant,
        key_id=key_id,
        state=state,
        cancelled=bool(cancelled),
        owner=owner,
        events=events,
        created=created,
        updated=updated,
        task=_task(what["task"]),
        holder=_holder(what["holder"]),
        answer=None if answer is None else bytes(answer).decode(),
    )


def _task(found: dict[str, Any]) -> Task:
    return Task(**{**found, "tools": tuple(found["tools"])})


def _holder(found: dict[str, Any]) -> Holder:
    return Holder(**{**found, "tags": tuple(found["tags"])})
