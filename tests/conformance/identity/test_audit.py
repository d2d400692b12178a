"""The audit trail on either store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.identity import AuditEntry, Identities
from holdfast.identity.audit import DETAIL_LIMIT, record

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


async def fill(database: Database, tenant: str, count: int, *, at: float = NOW, action: str = "job.submit") -> None:
    entries = [
        AuditEntry(tenant=tenant, at=at + n, actor="k", action=action, target=f"{tenant}-{n}") for n in range(count)
    ]
    await database.write(lambda tx: record(tx, *entries))


async def targets(identities: Identities, tenant: str, **how: object) -> list[str]:
    return [entry.target for entry in await identities.audit_entries(tenant, **({"limit": 10} | how))]  # type: ignore[arg-type]


async def test_an_entry_comes_back_as_it_was_written(identities: Identities) -> None:
    await identities.audit("acme", actor="k1", action="job.cancel", target="j1", detail={"n": 1, "why": "é"}, now=NOW)
    (entry,) = await identities.audit_entries("acme", limit=10)
    assert (entry.tenant, entry.at, entry.actor, entry.action, entry.target) == (
        "acme",
        NOW,
        "k1",
        "job.cancel",
        "j1",
    )
    assert entry.detail == {"n": 1, "why": "é"}


async def test_the_entries_of_a_quiet_tenant_are_found_behind_thousands_of_a_loud_one(
    database: Database, identities: Identities
) -> None:
    await fill(database, "quiet", 3)
    await fill(database, "loud", 5000)
    assert await targets(identities, "quiet") == ["quiet-2", "quiet-1", "quiet-0"]
    assert await targets(identities, "quiet", action="job.submit", limit=1) == ["quiet-2"]


async def test_the_entries_of_a_rare_action_are_found_behind_thousands_of_a_common_one(
    database: Database, identities: Identities
) -> None:
    await fill(database, "acme", 1, action="key.revoke")
    await fill(database, "acme", 3000)
    assert await targets(identities, "acme", action="key.revoke") == ["acme-0"]


async def test_pages_follow_each_other_without_gap_or_repetition(database: Database, identities: Identities) -> None:
    await fill(database, "acme", 7)
    await fill(database, "other", 3)
    seen: list[str] = []
    before: int | None = None
    while page := await identities.audit_entries("acme", limit=3, before=before):
        assert len(page) <= 3
        seen += [entry.target for entry in page]
        before = page[-1].seq
    assert seen == [f"acme-{n}" for n in reversed(range(7))]


@pytest.mark.parametrize("limit", [0, -1, 10**9])
async def test_a_page_is_bounded_whatever_is_asked_for(database: Database, identities: Identities, limit: int) -> None:
    await fill(database, "acme", 1200)
    assert 1 <= len(await identities.audit_entries("acme", limit=limit)) <= 1000


async def test_entries_that_arrive_together_are_all_kept(identities: Identities) -> None:
    await asyncio.gather(
        *(identities.audit(f"t{n % 3}", actor="k", action="a", target=str(n), now=NOW) for n in range(600))
    )
    kept = {target for tenant in ("t0", "t1", "t2") for target in await targets(identities, tenant, limit=1000)}
    assert kept == {str(n) for n in range(600)}


async def test_secrets_in_a_detail_are_masked(identities: Identities) -> None:
    await identities.audit("acme", actor="k", action="a", target="t", detail={"api_key": "hf_x", "n": 1}, now=NOW)
    (entry,) = await identities.audit_entries("acme", limit=1)
    assert entry.detail == {"api_key": "***", "n": 1}


async def test_nothing_that_is_written_can_break_the_trail(identities: Identities) -> None:
    await identities.audit(
        "acme",
        actor="k" * 1000,
        action="a\0b",
        target="\udcff",
        detail={"long": "x" * 10 * DETAIL_LIMIT, "nul": "\0", "surrogate": "\udcff"},
        now=NOW,
    )
    (entry,) = await identities.audit_entries("acme", limit=1)
    assert (len(entry.actor), entry.action, entry.target) == (200, "ab", "?")
    assert set(entry.detail) == {"truncated"}
    await identities.audit("acme", actor="k", action="a", target="t", detail={"nul": "\0\udcff"}, now=NOW)
    assert (await identities.audit_entries("acme", limit=1))[0].detail == {"nul": "\0\udcff"}


async def test_old_entries_are_removed_in_portions_oldest_first(database: Database, identities: Identities) -> None:
    await fill(database, "acme", 10)
    assert await identities.trim_audit(older_than=NOW + 7, limit=3) == 3
    assert await targets(identities, "acme", limit=20) == [f"acme-{n}" for n in reversed(range(3, 10))]
    assert await identities.trim_audit(older_than=NOW + 7, limit=100) == 4
    assert await identities.trim_audit(older_than=NOW + 7, limit=100) == 0
    assert await targets(identities, "acme") == ["acme-9", "acme-8", "acme-7"]


async def test_what_was_not_done_is_not_told(identities: Identities) -> None:
    key, _ = await identities.create_key("acme", expires=NOW + 1, now=NOW)
    with pytest.raises(Exception, match="expired"):
        await identities.rotate(key.id, overlap_s=1, now=NOW + 1)
    assert [entry.action for entry in await identities.audit_entries("acme", limit=10)] == ["key.create"]


async def test_changes_of_keys_name_who_made_them(identities: Identities) -> None:
    key, _ = await identities.create_key("acme", now=NOW)
    rotated = await identities.rotate(key.id, overlap_s=1, actor=key.id, now=NOW + 1)
    assert rotated is not None
    await identities.revoke(rotated[0].id, actor=key.id, now=NOW + 2)
    entries = await identities.audit_entries("acme", limit=10)
    assert [(entry.action, entry.actor, entry.target) for entry in entries] == [
        ("key.revoke", key.id, rotated[0].id),
        ("key.rotate", key.id, key.id),
        ("key.create", "cli", key.id),
    ]
