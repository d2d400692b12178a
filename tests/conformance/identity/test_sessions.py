"""Sessions on either store: begun with a key, ended with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from holdfast.identity import Identities, IdentityError, Principal, SessionTokens
from holdfast.identity.sessions import LIFETIME_S, ROTATE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.store import Database

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0


@pytest.fixture
async def identities(database: Database) -> AsyncIterator[Identities]:
    opened = Identities(database)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def owner(identities: Identities) -> Principal:
    key, _ = await identities.create_key("acme", now=NOW)
    return key.principal()


@pytest.fixture
def sessions(database: Database, identities: Identities) -> SessionTokens:
    return SessionTokens(database, identities)


async def test_a_session_speaks_for_the_key_it_was_begun_with(sessions: SessionTokens, owner: Principal) -> None:
    value = await sessions.issue(owner, now=NOW)
    assert await sessions.verify(value, now=NOW + LIFETIME_S - 1) == owner


async def test_a_session_is_good_in_every_process(
    database: Database, identities: Identities, sessions: SessionTokens, owner: Principal
) -> None:
    other = SessionTokens(database, identities)
    assert await other.verify(await sessions.issue(owner, now=NOW), now=NOW) == owner
    assert await sessions.verify(await other.issue(owner, now=NOW), now=NOW) == owner


async def test_a_session_ends_in_time(sessions: SessionTokens, owner: Principal) -> None:
    value = await sessions.issue(owner, now=NOW, lifetime_s=60)
    assert await sessions.verify(value, now=NOW + 59) == owner
    assert await sessions.verify(value, now=NOW + 60) is None
    with pytest.raises(IdentityError, match="at most"):
        await sessions.issue(owner, now=NOW, lifetime_s=2 * LIFETIME_S)


async def test_a_session_ends_with_its_key(identities: Identities, sessions: SessionTokens, owner: Principal) -> None:
    value = await sessions.issue(owner, now=NOW)
    assert await sessions.verify(value, now=NOW) == owner
    await identities.revoke(owner.key_id, now=NOW)
    assert await sessions.verify(value, now=NOW) is None


async def test_no_character_of_a_session_can_be_changed(sessions: SessionTokens, owner: Principal) -> None:
    value = await sessions.issue(owner, now=NOW)
    for place, character in enumerate(value):
        for other in {"A", "b", "7", ".", "", character * 2} - {character}:
            changed = value[:place] + other + value[place + 1 :]
            # The last character carries 4 bits of the signature and 2 that mean nothing; both spellings are compared.
            assert await sessions.verify(changed, now=NOW) is None, changed


async def test_what_is_no_session_is_nobodys(sessions: SessionTokens, owner: Principal) -> None:
    await sessions.issue(owner, now=NOW)
    for value in ("", "v1....", "v1.a.b.99999999999.c." + "A" * 43, "é" * 60, "x" * 100_000):
        assert await sessions.verify(value, now=NOW) is None


async def test_a_new_signing_key_ends_no_session(
    database: Database, identities: Identities, sessions: SessionTokens, owner: Principal
) -> None:
    late = NOW + ROTATE_S - 1
    before = await sessions.issue(owner, now=NOW)
    at_the_end = await sessions.issue(owner, now=late)
    after = await sessions.issue(owner, now=late + 1)
    assert before.split(".")[1] == at_the_end.split(".")[1] != after.split(".")[1]
    fresh = SessionTokens(database, identities)
    assert await fresh.verify(at_the_end, now=late + LIFETIME_S - 1) == owner
    assert await fresh.verify(after, now=late + LIFETIME_S - 1) == owner


async def test_signing_keys_that_nothing_needs_are_removed(
    database: Database, sessions: SessionTokens, owner: Principal
) -> None:
    for week in range(4):
        await sessions.issue(owner, now=NOW + week * (ROTATE_S + LIFETIME_S + 1))
    assert await database.read(lambda tx: tx.one("SELECT count(*) FROM identity_session_keys")) == (1,)


async def test_a_key_of_the_configuration_can_begin_a_session(database: Database, identities: Identities) -> None:
    from holdfast.identity import new_key, parse

    text = new_key()
    presented = parse(text)
    assert presented is not None
    demo = Principal(tenant="demo", key_id=presented.id, scopes=frozenset())
    configured = Identities(database, static={text: demo})
    sessions = SessionTokens(database, configured)
    assert await sessions.verify(await sessions.issue(demo, now=NOW), now=NOW) == demo
    assert await SessionTokens(database, identities).verify(await sessions.issue(demo, now=NOW), now=NOW) is None
