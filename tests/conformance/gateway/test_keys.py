"""Virtual keys on a fresh store of each kind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.gateway.core.settings import LimitSettings
from holdfast.gateway.errors import GatewayError
from holdfast.gateway.shell.ledger import KeyBook
from holdfast.identity import Identities
from tests.unit.gateway.attempts import WALL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.store import Database

pytestmark = pytest.mark.anyio

LIMITS = LimitSettings(daily_usd=1.5, models=("small-*",))


@pytest.fixture
async def identities(database: Database) -> AsyncIterator[Identities]:
    made = Identities(database)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def book(database: Database, identities: Identities) -> AsyncIterator[KeyBook]:
    made = KeyBook(database, identities, clock=lambda: WALL)
    await made.open()
    yield made
    await made.close()


async def test_a_key_says_who_pays_and_what_it_may_do(book: KeyBook, identities: Identities) -> None:
    key, _, text = await book.create("acme", team="ml", user="ann", limits=LIMITS, tags=("blue",))
    principal = await identities.authenticate(text, now=WALL)
    assert principal is not None
    holder = await book.holder(principal, ("green", "blue"))
    assert (holder.tenant, holder.team, holder.user, holder.tags) == ("acme", "ml", "ann", ("blue", "green"))
    assert book.limits(key.key_id) == LIMITS


async def test_a_key_of_identity_alone_has_no_limits_of_its_own(book: KeyBook, identities: Identities) -> None:
    made, text = await identities.create_key("acme", now=WALL)
    principal = await identities.authenticate(text, now=WALL)
    assert principal is not None
    assert (await book.holder(principal)).team is None
    assert book.known(made.id)
    assert book.limits(made.id) is None


async def test_a_change_is_followed_by_other_processes(
    book: KeyBook, database: Database, identities: Identities
) -> None:
    key, _, text = await book.create("acme", limits=LIMITS)
    principal = await identities.authenticate(text, now=WALL)
    assert principal is not None
    other = KeyBook(database, identities, clock=lambda: WALL)
    await other.open()
    try:
        await other.holder(principal)
        await book.update(key.key_id, limits=LimitSettings(daily_usd=9.0))
        async with asyncio.timeout(5):
            while other.limits(key.key_id) != LimitSettings(daily_usd=9.0):  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # there is nothing to wait on: the hot path just sees another value
    finally:
        await other.close()


async def test_revoking_is_told_to_every_process_that_uses_the_key(
    book: KeyBook, database: Database, identities: Identities
) -> None:
    key, _, text = await book.create("acme")
    principal = await identities.authenticate(text, now=WALL)
    assert principal is not None
    other = KeyBook(database, identities, clock=lambda: WALL)
    await other.open()
    told = asyncio.Event()
    other.on_revoked(lambda key_id: told.set() if key_id == key.key_id else None)
    try:
        await other.holder(principal)
        await book.revoke(key.key_id)
        async with asyncio.timeout(5):
            await told.wait()
    finally:
        await other.close()


async def test_keys_are_each_tenants_own(book: KeyBook) -> None:
    key, *_ = await book.create("acme")
    await book.create("other")
    assert [each.key_id for each in await book.list("acme")] == [key.key_id]
    assert await book.get(key.key_id, tenant="other") is None
    assert await book.update(key.key_id, tenant="other") is None
    assert await book.revoke(key.key_id, tenant="other") is None


async def test_names_that_would_be_another_scope_are_refused(book: KeyBook) -> None:
    with pytest.raises(GatewayError, match="cannot be a team"):
        await book.create("acme", team="a/b")
