"""Sessions and runs on every store: what was promised is there, and nobody does what somebody else does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.gateway.core.ports import Holder
from holdfast.gateway.core.run_events import Ended, ModelAnswered, ModelAsked, RunEvent
from holdfast.gateway.core.runs import Run, Task, apply, fold
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.sessions.store import Idempotency, Record, Session, SessionStore, Spec, Superseded

if TYPE_CHECKING:
    from holdfast.store import Database

pytestmark = pytest.mark.anyio

HOLDER = Holder(tenant="acme", key_id="k1", team="core", tags=("a", "b"))
TASK = Task(text="what is it?", model="m", tools=("x", "y"), schema={"type": "object"}, deadline=1e9)


@pytest.fixture
async def store(database: Database) -> SessionStore:
    store = SessionStore(database)
    await store.open()
    return store


async def session(store: SessionStore, tenant: str = "acme", now: float = 1.0) -> Session:
    return await store.create(tenant, "k1", Spec(model="m", system="s", tools=("x",), metadata={"a": 1}), now=now)


async def queued(store: SessionStore, key: str | None = None) -> tuple[Session, Record]:
    made = await session(store)
    record, fresh = await store.add(made, HOLDER, TASK, idempotency=key, body="b1", now=2.0)
    assert fresh
    return made, record


async def advance(store: SessionStore, id: str, owner: str, *events: RunEvent) -> Run:
    run = fold([each.event for each in await store.events(id)])
    for event in events:
        run = apply(run, event)
        await store.append(id, owner, event, run, now=3.0)
    return run


async def test_a_session_is_its_tenants_alone(store: SessionStore) -> None:
    made = await session(store)
    assert await store.session("acme", made.id) == made
    assert await store.session("other", made.id) is None


async def test_a_run_is_read_as_it_was_written(store: SessionStore) -> None:
    _, record = await queued(store)
    assert await store.run(record.id) == record
    assert (record.task, record.holder, record.state, record.events) == (TASK, HOLDER, "queued", 1)
    assert await store.run(record.id, tenant="other") is None


async def test_the_same_key_and_message_give_the_same_run(store: SessionStore) -> None:
    made, record = await queued(store, "key")
    again, fresh = await store.add(made, HOLDER, TASK, idempotency="key", body="b1", now=9.0)
    assert (again.id, fresh) == (record.id, False)
    with pytest.raises(Idempotency):
        await store.add(made, HOLDER, TASK, idempotency="key", body="b2", now=9.0)


async def test_a_session_has_one_run_at_a_time(store: SessionStore) -> None:
    made, record = await queued(store)
    with pytest.raises(Refused, match=record.id):
        await store.add(made, HOLDER, TASK, idempotency=None, body="b", now=3.0)
    await store.cancel("acme", record.id, now=3.0)
    second, _ = await store.add(made, HOLDER, TASK, idempotency=None, body="b", now=4.0)
    assert second.number == 2


async def test_of_messages_at_the_same_moment_one_becomes_a_run(store: SessionStore) -> None:
    made = await session(store)
    found = await asyncio.gather(
        *(store.add(made, HOLDER, TASK, idempotency="key", body="b", now=3.0) for _ in range(8))
    )
    assert len({record.id for record, _ in found}) == 1
    assert sum(fresh for _, fresh in found) == 1


async def test_a_run_is_claimed_by_one_and_taken_over_when_its_lease_is_over(store: SessionStore) -> None:
    _, record = await queued(store)
    assert [each.id for each in await store.claim("a", room=5, full=(), now=10.0)] == [record.id]
    assert await store.claim("b", room=5, full=(), now=39.0) == []
    assert await store.renew("a", [record.id], now=39.0) == {record.id}
    assert await store.claim("b", room=5, full=(), now=60.0) == []
    assert [each.owner for each in await store.claim("b", room=5, full=(), now=70.0)] == ["b"]
    assert await store.renew("a", [record.id], now=70.0) == set()


async def test_the_runs_of_a_full_tenant_wait(store: SessionStore) -> None:
    await queued(store)
    assert await store.claim("a", room=5, full=["acme"], now=10.0) == []


async def test_who_was_superseded_writes_nothing_more(store: SessionStore) -> None:
    _, record = await queued(store)
    await store.claim("a", room=1, full=(), now=10.0)
    await store.claim("b", room=1, full=(), now=50.0)
    with pytest.raises(Superseded):
        await advance(store, record.id, "a", ModelAsked(purpose="execute", step=1))
    assert len(await store.events(record.id)) == 1


async def test_an_event_that_is_stored_twice_is_there_once(store: SessionStore) -> None:
    _, record = await queued(store)
    await store.claim("a", room=1, full=(), now=10.0)
    event = ModelAsked(purpose="execute", step=1)
    run = await advance(store, record.id, "a", event)
    await store.append(record.id, "a", event, run, now=3.0)
    with pytest.raises(Superseded):
        await store.append(record.id, "a", ModelAsked(purpose="plan", step=1), run, now=3.0)
    assert [each.number for each in await store.events(record.id)] == [1, 2]


async def test_a_run_that_succeeded_is_what_the_next_one_knows(store: SessionStore) -> None:
    made, record = await queued(store)
    await store.claim("a", room=1, full=(), now=10.0)
    await advance(
        store,
        record.id,
        "a",
        ModelAsked(purpose="execute", step=1),
        ModelAnswered(purpose="execute", text="42 é", cost_nano=5),
        Ended(state="succeeded"),
    )
    ended = await store.run(record.id)
    assert ended is not None
    assert (ended.state, ended.answer, ended.ended) == ("succeeded", "42 é", True)
    assert [(each.text, each.answer) for each in await store.past(made.id, before=2)] == [("what is it?", "42 é")]
    assert await store.claim("b", room=1, full=(), now=1e6) == []


async def test_a_run_that_waits_is_cancelled_at_once_and_one_at_work_is_told(store: SessionStore) -> None:
    _, waiting = await queued(store)
    cancelled = await store.cancel("acme", waiting.id, now=3.0)
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert fold([each.event for each in await store.events(waiting.id)]).state == "cancelled"
    _, working = await queued(store)
    await store.claim("a", room=1, full=(), now=10.0)
    told = await store.cancel("acme", working.id, now=11.0)
    assert told is not None
    assert (told.state, told.cancelled) == ("queued", True)
    assert await store.to_cancel("a") == {working.id}
    assert await store.cancel("other", working.id, now=11.0) is None


async def test_a_process_that_begins_anew_gives_back_what_it_had(store: SessionStore) -> None:
    _, record = await queued(store)
    await store.claim("a", room=1, full=(), now=10.0)
    await store.release("a")
    assert [each.id for each in await store.claim("b", room=1, full=(), now=11.0)] == [record.id]


async def test_a_session_goes_when_its_time_is_over_but_not_under_a_run(store: SessionStore) -> None:
    made, record = await queued(store)
    assert await store.trim(before=100.0) == 0
    await store.cancel("acme", record.id, now=3.0)
    assert await store.trim(before=1.0) == 0
    assert await store.trim(before=100.0) == 1
    assert await store.session("acme", made.id) is None
    assert await store.run(record.id) is None
    assert await store.events(record.id) == []
