"""Keys on either store: made, recognised, ended, replaced; here and in other processes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.identity import ROLES, Identities, IdentityError, Principal, Scope, new_key, parse
from holdfast.store import StoreError, open_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.store import Database, StoreSettings

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture
async def identities(database: Database) -> AsyncIterator[Identities]:
    opened = Identities(database)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def elsewhere(store_settings: StoreSettings, identities: Identities) -> AsyncIterator[Identities]:
    """The same store, opened by somebody else."""
    async with await open_database(store_settings) as another:
        opened = Identities(another)
        await opened.open()
        yield opened
        await opened.close()


# ---------------------------------------------------------------- recognise


async def test_a_key_speaks_for_what_it_was_made_for(identities: Identities) -> None:
    key, text = await identities.create_key("acme", role="admin", now=NOW)
    expected = Principal(tenant="acme", key_id=key.id, scopes=ROLES["admin"])
    assert await identities.authenticate(text, now=NOW) == expected
    assert await identities.authenticate(text, now=NOW) == expected
    assert await identities.principal(key.id, now=NOW) == expected


async def test_a_key_may_have_fewer_scopes_than_its_role(identities: Identities) -> None:
    _, text = await identities.create_key("acme", role="admin", scopes=["audit:read"], now=NOW)
    principal = await identities.authenticate(text, now=NOW)
    assert principal is not None
    assert principal.scopes == {Scope.AUDIT_READ}
    assert not principal.may(Scope.JOBS_READ)


async def test_what_is_no_key_of_ours_speaks_for_nobody(identities: Identities) -> None:
    await identities.create_key("acme", now=NOW)
    for text in ("", "nonsense", new_key(), "hf_", "ü" * 46):
        assert await identities.authenticate(text, now=NOW) is None


async def test_the_right_id_with_a_wrong_secret_speaks_for_nobody(
    identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, text = await identities.create_key("acme", now=NOW)
    monkeypatch.setattr("holdfast.identity.key._draw", lambda length: key.id if length == 12 else "0" * length)
    forged = new_key()
    presented = parse(forged)
    assert presented is not None
    assert presented.id == key.id
    for _ in range(2):
        assert await identities.authenticate(forged, now=NOW) is None
        assert await identities.authenticate(text, now=NOW) is not None


async def test_the_store_has_no_secret(database: Database, identities: Identities) -> None:
    key, text = await identities.create_key("acme", name="n", now=NOW)
    rotated = await identities.rotate(key.id, overlap_s=60, now=NOW)
    assert rotated is not None
    for table in ("identity_keys", "identity_audit", "identity_tenants"):
        kept = repr(await database.read(lambda tx, table=table: tx.all(f"SELECT * FROM {table}")))  # type: ignore[misc]
        for secret in (text, rotated[1]):
            assert secret not in kept
            assert secret.split("_")[2][:24] not in kept


async def test_a_key_ends_when_it_expires_remembered_or_not(identities: Identities) -> None:
    key, text = await identities.create_key("acme", expires=NOW + 1.5, now=NOW)
    assert await identities.authenticate(text, now=NOW + 1.4) is not None
    assert await identities.authenticate(text, now=NOW + 1.5) is None
    assert await identities.principal(key.id, now=NOW + 1.5) is None
    assert await identities.authenticate(text, now=NOW + DAY) is None


async def test_a_store_that_is_gone_is_an_error_and_not_a_refusal(database: Database, identities: Identities) -> None:
    _, text = await identities.create_key("acme", now=NOW)
    await database.close()
    with pytest.raises(StoreError):
        await identities.authenticate(text, now=NOW)


# ---------------------------------------------------------------- end


async def test_a_revoked_key_stops_working_at_once(identities: Identities) -> None:
    key, text = await identities.create_key("acme", now=NOW)
    assert await identities.authenticate(text, now=NOW) is not None
    revoked = await identities.revoke(key.id, now=NOW + 1)
    assert revoked is not None
    assert (revoked.revoked, revoked.state(NOW + 1)) == (NOW + 1, "revoked")
    assert await identities.authenticate(text, now=NOW) is None
    assert await identities.principal(key.id, now=NOW) is None


async def test_a_revoked_key_stops_working_elsewhere_before_it_would_be_forgotten(
    identities: Identities, elsewhere: Identities
) -> None:
    key, text = await identities.create_key("acme", now=NOW)
    assert await elsewhere.authenticate(text, now=NOW) is not None
    await identities.revoke(key.id, now=NOW)
    # The time that is passed in stands still, so that what is remembered does not grow old.
    async with asyncio.timeout(5):
        while await elsewhere.authenticate(text, now=NOW) is not None:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)


async def test_a_key_is_good_elsewhere_as_soon_as_it_is_made(identities: Identities, elsewhere: Identities) -> None:
    _, text = await identities.create_key("acme", now=NOW)
    assert await elsewhere.authenticate(text, now=NOW) is not None


async def test_revoking_once_more_changes_nothing(identities: Identities) -> None:
    key, _ = await identities.create_key("acme", now=NOW)
    first = await identities.revoke(key.id, now=NOW + 1)
    assert await identities.revoke(key.id, now=NOW + 2) == first
    actions = [entry.action for entry in await identities.audit_entries("acme", limit=10)]
    assert actions == ["key.revoke", "key.create"]


async def test_a_key_of_another_tenant_can_be_neither_revoked_nor_rotated(identities: Identities) -> None:
    key, text = await identities.create_key("acme", now=NOW)
    assert await identities.revoke(key.id, tenant="other", now=NOW) is None
    assert await identities.rotate(key.id, overlap_s=0, tenant="other", now=NOW) is None
    assert await identities.revoke("nonsense", now=NOW) is None
    assert await identities.authenticate(text, now=NOW) is not None


# ---------------------------------------------------------------- replace


async def test_after_a_rotation_both_keys_are_good_until_the_overlap_is_over(identities: Identities) -> None:
    old, before = await identities.create_key("acme", role="viewer", name="ci", now=NOW)
    assert await identities.authenticate(before, now=NOW) is not None
    rotated = await identities.rotate(old.id, overlap_s=60, now=NOW + 10)
    assert rotated is not None
    new, after = rotated
    assert (new.tenant, new.role, new.name, new.scopes) == ("acme", "viewer", "ci", ROLES["viewer"])
    for now in (NOW + 10, NOW + 69):
        assert await identities.authenticate(before, now=now) is not None
        assert await identities.authenticate(after, now=now) is not None
    assert await identities.authenticate(before, now=NOW + 70) is None
    assert await identities.authenticate(after, now=NOW + 70) is not None
    listed = {key.id: key for key in await identities.list_keys("acme")}
    assert listed[old.id].replaced_by == new.id


async def test_a_successor_lives_as_long_as_its_predecessor_was_to_live(identities: Identities) -> None:
    old, _ = await identities.create_key("acme", expires=NOW + 90 * DAY, now=NOW)
    rotated = await identities.rotate(old.id, overlap_s=30 * DAY, now=NOW + 80 * DAY)
    assert rotated is not None
    assert rotated[0].expires == NOW + 170 * DAY
    listed = {key.id: key for key in await identities.list_keys("acme")}
    assert listed[old.id].expires == NOW + 90 * DAY, "an overlap never makes a key last longer"


async def test_of_two_rotations_at_the_same_time_one_makes_a_key(identities: Identities, elsewhere: Identities) -> None:
    key, _ = await identities.create_key("acme", now=NOW)
    outcomes = await asyncio.gather(
        *(one.rotate(key.id, overlap_s=60, now=NOW) for one in (identities, elsewhere)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["IdentityError", "tuple"]
    assert len(await identities.list_keys("acme")) == 2


async def test_a_key_that_has_ended_is_not_rotated(identities: Identities) -> None:
    revoked, _ = await identities.create_key("acme", now=NOW)
    await identities.revoke(revoked.id, now=NOW)
    expired, _ = await identities.create_key("acme", expires=NOW + 1, now=NOW)
    for key, why in ((revoked, "is revoked"), (expired, "is expired")):
        with pytest.raises(IdentityError, match=why):
            await identities.rotate(key.id, overlap_s=60, now=NOW + 1)
    with pytest.raises(IdentityError, match="overlap"):
        await identities.rotate(revoked.id, overlap_s=-1, now=NOW)


# ---------------------------------------------------------------- make and list


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant": ""},
        {"tenant": "Acme"},
        {"tenant": "a/b"},
        {"tenant": "a" * 64},
        {"tenant": "acme\n"},
        {"role": "god"},
        {"scopes": []},
        {"scopes": ["worker"]},
        {"scopes": ["jobs:read", "nonsense"]},
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"expires": NOW},
        {"expires": float("nan")},
        {"expires": float("inf")},
    ],
)
async def test_what_will_not_do_is_refused_and_leaves_nothing(identities: Identities, wrong: dict[str, object]) -> None:
    arguments: dict[str, object] = {"tenant": "acme", "now": NOW} | wrong
    with pytest.raises(IdentityError):
        await identities.create_key(**arguments)  # type: ignore[arg-type]
    assert await identities.list_keys() == []
    assert await identities.list_tenants() == []


async def test_keys_are_listed_newest_first_of_one_tenant_or_of_all(identities: Identities) -> None:
    made = [(await identities.create_key(tenant, now=NOW + n))[0] for n, tenant in enumerate(["acme", "other", "acme"])]
    assert await identities.list_keys("acme") == [made[2], made[0]]
    assert await identities.list_keys() == made[::-1]
    assert await identities.list_tenants() == ["acme", "other"]


async def test_the_last_use_is_written_in_the_background_and_on_closing(
    database: Database, identities: Identities
) -> None:
    key, text = await identities.create_key("acme", now=NOW)
    for second in range(3):
        await identities.authenticate(text, now=NOW + second)
    assert (await identities.list_keys())[0].last_used is None
    await identities.flush()
    assert (await identities.list_keys())[0].last_used == NOW + 2
    await identities.authenticate(text, now=NOW + 5)
    await identities.close()
    late = Identities(database)
    assert (await late.list_keys())[0].last_used == NOW + 5
    await late.authenticate(text, now=NOW + 4)
    await late.flush()
    assert (await late.list_keys())[0].last_used == NOW + 5, "a process that is behind does not set it back"
    assert key.last_used is None


# ---------------------------------------------------------------- callbacks


async def test_a_tenant_has_one_callback_secret_from_the_first_look_on(
    identities: Identities, elsewhere: Identities
) -> None:
    looks = await asyncio.gather(*(one.callback_secrets("acme", now=NOW) for one in (identities, elsewhere) * 3))
    assert len({secret.text for look in looks for secret in look}) == 1
    assert all(len(look) == 1 for look in looks)
    (other,) = await identities.callback_secrets("other", now=NOW)
    assert other.text != looks[0][0].text
    assert other.text.startswith("whsec_")
    assert other.text not in repr(other)


async def test_a_rotated_callback_secret_is_good_for_the_overlap(identities: Identities) -> None:
    (first,) = await identities.callback_secrets("acme", now=NOW)
    await identities.rotate_callback_secret("acme", overlap_s=60, now=NOW)
    new, old = await identities.callback_secrets("acme", now=NOW + 59)
    assert (old.text, new.text != old.text) == (first.text, True)
    assert [secret.text for secret in await identities.callback_secrets("acme", now=NOW + 60)] == [new.text]
    actions = [entry.action for entry in await identities.audit_entries("acme", limit=10)]
    assert actions == ["callback_secret.rotate"]


async def test_a_callback_secret_can_be_rotated_before_it_was_ever_used(identities: Identities) -> None:
    assert len(await identities.rotate_callback_secret("acme", overlap_s=60, now=NOW)) == 1


# ---------------------------------------------------------------- life


async def test_opening_twice_and_from_several_processes_is_harmless(
    identities: Identities, elsewhere: Identities
) -> None:
    _, text = await identities.create_key("acme", now=NOW)
    assert await elsewhere.authenticate(text, now=NOW) is not None
