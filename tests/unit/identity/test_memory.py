"""What is remembered of keys, and what it may cost to find out: no store, only what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import pytest

from holdfast.identity import ROLES, Identities, IdentityError, Principal, new_key, parse
from holdfast.identity.identities import REMEMBER_S
from holdfast.store import Dialect, Row, Tx

pytestmark = pytest.mark.anyio

T = TypeVar("T")
NOW = 1_800_000_000.0
WORKER = Principal(tenant="system", key_id="w", scopes=ROLES["worker"])


class Counting:
    """A database that knows one key, counts what it is asked, and answers when it may."""

    dialect: Dialect = "sqlite"

    def __init__(self, *keys: str) -> None:
        self.rows: dict[str, Row] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.under_way = self.most = 0
        self.go = asyncio.Event()
        self.go.set()
        for text in keys:
            presented = parse(text)
            assert presented is not None
            view = (presented.id, "acme", "", "viewer", "jobs:read", NOW, None, None, None, None)
            self.rows[presented.id] = (presented.digest, *view)

    def all(self, sql: str, *values: Any) -> list[Row]:
        self.asked.append(values)
        return [self.rows[value] for value in values if value in self.rows]

    async def read(self, work: Callable[[Tx], T], *, deadline_s: float = 10.0) -> T:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        answer = work(self)  # type: ignore[arg-type]
        await self.go.wait()
        await asyncio.sleep(0)
        self.under_way -= 1
        return answer

    async def write(self, work: Callable[[Tx], T], *, deadline_s: float = 10.0) -> T:
        raise NotImplementedError

    async def migrate(self, component: str, versions: Sequence[Sequence[str]]) -> None:
        raise NotImplementedError

    def listen(self, channel: str) -> AsyncIterator[str]:
        raise NotImplementedError

    def free_bytes(self) -> int | None:
        return None

    async def close(self) -> None:
        return None


async def test_a_key_is_looked_up_once_while_it_is_remembered() -> None:
    text = new_key()
    store = Counting(text)
    identities = Identities(store)
    for _ in range(100):
        assert await identities.authenticate(text, now=NOW) is not None
    assert len(store.asked) == 1
    assert await identities.authenticate(text, now=NOW + REMEMBER_S) is not None
    assert len(store.asked) == 2


async def test_a_clock_that_is_set_back_does_not_make_the_memory_longer() -> None:
    text = new_key()
    store = Counting(text)
    identities = Identities(store)
    for now in (NOW, NOW - 3600, NOW - 3600 + REMEMBER_S / 2):
        await identities.authenticate(text, now=now)
    assert len(store.asked) == 2


async def test_a_refused_key_is_looked_up_once_while_that_is_remembered() -> None:
    store = Counting()
    identities = Identities(store)
    text = new_key()
    for _ in range(100):
        assert await identities.authenticate(text, now=NOW) is None
    assert len(store.asked) == 1


async def test_what_is_no_key_is_not_looked_up() -> None:
    store = Counting()
    identities = Identities(store)
    for text in ("", "x", new_key()[:-1] + "_"):
        assert await identities.authenticate(text, now=NOW) is None
    assert store.asked == []


async def test_a_thousand_guesses_at_once_cost_a_few_queries_one_at_a_time() -> None:
    text = new_key()
    store = Counting(text)
    identities = Identities(store)
    guesses = await asyncio.gather(
        *(identities.authenticate(new_key(), now=NOW) for _ in range(1000)), identities.authenticate(text, now=NOW)
    )
    assert [guess is not None for guess in guesses] == [False] * 1000 + [True]
    assert store.most == 1
    assert len(store.asked) <= 1000 / 64 + 2


async def test_guesses_push_no_good_key_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.identity.identities.REMEMBERED", 10)
    text = new_key()
    store = Counting(text)
    identities = Identities(store)
    await identities.authenticate(text, now=NOW)
    for _ in range(50):
        await identities.authenticate(new_key(), now=NOW)
    asked = len(store.asked)
    await identities.authenticate(text, now=NOW)
    assert len(store.asked) == asked
    assert len(identities._refused) == 10


async def test_what_was_read_before_a_change_is_not_remembered_after_it() -> None:
    text = new_key()
    store = Counting(text)
    identities = Identities(store)
    store.go.clear()
    slow = asyncio.create_task(identities.authenticate(text, now=NOW))
    while not store.asked:  # noqa: ASYNC110 - a step of the loop
        await asyncio.sleep(0)
    store.rows.clear()  # the key is revoked while its row is on the way
    identities._forget(None)
    store.go.set()
    assert await slow is not None
    assert await identities.authenticate(text, now=NOW) is None


async def test_a_configured_key_needs_no_store() -> None:
    text = new_key()
    store = Counting()
    identities = Identities(store, static={text: WORKER})
    assert await identities.authenticate(text, now=NOW) == WORKER
    assert await identities.authenticate(text, now=NOW + 1e9) == WORKER
    assert store.asked == []
    assert await identities.authenticate(new_key(), now=NOW) is None


async def test_the_id_of_a_configured_key_with_another_secret_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    text = new_key()
    identities = Identities(Counting(), static={text: WORKER})
    monkeypatch.setattr("holdfast.identity.key._draw", lambda length: text[3:15] if length == 12 else "0" * length)
    assert await identities.authenticate(new_key(), now=NOW) is None


def test_a_configured_key_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(IdentityError, match="the configured key of system is not an API key") as refused:
        Identities(Counting(), static={"swordfish": WORKER})
    assert "swordfish" not in str(refused.value)


async def test_a_scope_of_a_newer_version_allows_nothing() -> None:
    text = new_key()
    store = Counting(text)
    ((key_id, row),) = store.rows.items()
    store.rows[key_id] = (*row[:5], "jobs:read planets:move", *row[6:])
    principal = await Identities(store).authenticate(text, now=NOW)
    assert principal is not None
    assert principal.scopes == {"jobs:read"}
