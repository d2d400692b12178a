"""Tenants and their API keys: make, list, revoke, rotate, and recognise in every request.

Recognising is the hot path. A key that was seen within the last second costs a hash and a
comparison; any other one costs a look-up, and look-ups share one query at a time (see
:mod:`.batching`), so that guessing loads the store no more than a single reader would.

A revoked key stops working at once in every process: the change is announced through the store,
and what is remembered of the key is dropped. Should the announcement be lost, the memory lasts a
second. A look-up that was under way during an announcement is answered but not remembered.

The comparison takes the same time wherever two keys differ, and an unknown id takes the path of
a wrong secret: a query, then a comparison.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Final

from holdfast.identity import callback_secrets, keys
from holdfast.identity.audit import AuditEntry, AuditTrail
from holdfast.identity.batching import Batcher
from holdfast.identity.callback_secrets import CallbackSecret
from holdfast.identity.errors import IdentityError
from holdfast.identity.key import PresentedKey, new_key, parse
from holdfast.identity.keys import ApiKey
from holdfast.identity.principal import Principal
from holdfast.identity.schema import COMPONENT, VERSIONS
from holdfast.store import Database, Row, StoreError, Tx

log = logging.getLogger(__name__)

REMEMBER_S: Final = 1.0
REMEMBERED: Final = 10_000
"""Keys that are remembered, good ones and refused ones each; some 400 bytes per key."""
FLUSH_EVERY_S: Final = 30.0
"""How often ``last_used`` is written: a figure for people, who ask whether a key is still in use at all."""
LIST_LIMIT: Final = 1000
_RETRY_S: Final = 1.0
_LOOK_UPS: Final = 500
_NO_DIGEST: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a look-up found, for as long as it may be relied on."""

    digest: bytes
    principal: Principal
    expires: float | None
    read: float

    def holds(self, now: float) -> bool:
        # A clock that was set back must not make the memory longer.
        return 0.0 <= now - self.read < REMEMBER_S and (self.expires is None or now < self.expires)


class Identities:
    """Keys, and the trail of what was done with them. Open it before use; close it in the end."""

    def __init__(self, database: Database, *, static: Mapping[str, Principal] | None = None) -> None:
        """``static`` maps whole keys, from the configuration, to whom they speak for; the store knows them not.

        Raises :class:`IdentityError` when one of them is not an API key.
        """
        self._database = database
        self._trail = AuditTrail(database)
        self._static = dict(_static(static or {}))
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._changes = 0
        self._used: dict[str, float] = {}
        self._look_up: Batcher[str, Row | None] = Batcher(self._read, largest=64, waiting=4096, what="key look-ups")
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Bring the tables up to date and follow changes. Raises ``StoreError``."""
        await self._database.migrate(COMPONENT, VERSIONS)
        self._tasks = [
            asyncio.create_task(self._follow(), name="identity changes"),
            asyncio.create_task(self._keep_flushing(), name="identity last use"),
        ]

    async def close(self) -> None:
        """Write what waits to be written. The database stays open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._look_up.close()
        await self._trail.close()
        with contextlib.suppress(StoreError):
            await self.flush()

    # ------------------------------------------------------------ recognise

    async def authenticate(self, text: str, *, now: float) -> Principal | None:
        """Whom a presented key speaks for; ``None`` for whatever is not a key that is good now.

        Raises ``StoreUnavailable`` when that cannot be found out.
        """
        key = parse(text)
        if key is None:
            return None
        known = self._static.get(key.id) or self._known.get(key.id)
        if known is None or not compare_digest(known.digest, key.digest) or not known.holds(now):
            known = await self._ask(key.id, key.digest, now)
        if known is None:
            return None
        self._used[key.id] = now
        return known.principal

    async def principal(self, key_id: str, *, now: float) -> Principal | None:
        """Whom a key speaks for, by its id alone: for a session that was begun with it."""
        known = self._static.get(key_id) or self._known.get(key_id)
        if known is None or not known.holds(now):
            known = await self._fetch(key_id, now)
        if known is None:
            return None
        self._used[key_id] = now
        return known.principal

    async def ended(self, ids: Sequence[str], *, now: float) -> set[str]:
        """Those of some keys that are good no more, as the store has it: for who was told of a change just now.

        What is remembered is not relied on, and the keys do not count as used.
        """
        asked = [key_id for key_id in ids if key_id not in self._static]
        rows: list[Row | None] = []
        for at in range(0, len(asked), _LOOK_UPS):
            rows += await self._read(asked[at : at + _LOOK_UPS])
        return {
            key_id
            for key_id, row in zip(asked, rows, strict=True)
            if row is None or keys.view(row[1:]).state(now) != "active"
        }

    async def _ask(self, key_id: str, digest: bytes, now: float) -> _Known | None:
        if 0.0 <= now - self._refused.get(digest, -REMEMBER_S) < REMEMBER_S:
            return None
        known = await self._fetch(key_id, now)
        right = compare_digest(_NO_DIGEST if known is None else known.digest, digest)
        if known is not None and right:
            return known
        _remember(self._refused, digest, now)
        return None

    async def _fetch(self, key_id: str, now: float) -> _Known | None:
        changes = self._changes
        row = await self._look_up(key_id)
        if row is None:
            return None
        digest, view = bytes(row[0]), keys.view(row[1:])
        if view.state(now) != "active":
            return None
        known = _Known(digest, view.principal(), view.expires, now)
        if changes == self._changes:
            _remember(self._known, key_id, known)
        return known

    async def _read(self, ids: Sequence[str]) -> Sequence[Row | None]:
        marks = ", ".join("?" * len(ids))
        sql = f"SELECT digest, {keys.COLUMNS} FROM identity_keys WHERE id IN ({marks})"  # noqa: S608 - marks only
        found = {row[1]: row for row in await self._database.read(lambda tx: tx.all(sql, *ids))}
        return [found.get(key_id) for key_id in ids]

    # ------------------------------------------------------------ manage

    async def create_key(
        self,
        tenant: str,
        *,
        role: str = "developer",
        scopes: Iterable[str] | None = None,
        name: str = "",
        expires: float | None = None,
        now: float,
        actor: str = "cli",
    ) -> tuple[ApiKey, str]:
        """Make a key, and its tenant if there is none yet. The text is kept nowhere: this is the time to show it.

        ``scopes`` is a part of the role's, all of them by default. Raises :class:`IdentityError` for a name, role,
        scope or time that will not do.
        """
        text, presented = _drawn()
        key = keys.make(presented, tenant, role=role, scopes=scopes, name=name, expires=expires, now=now)
        await self._database.write(lambda tx: keys.create(tx, key, presented.digest, actor=actor))
        return key, text

    async def list_keys(self, tenant: str | None = None) -> list[ApiKey]:
        """Keys of a tenant, or of all, newest first; at most :data:`LIST_LIMIT`."""
        where, values = ("", ()) if tenant is None else ("WHERE tenant = ?", (tenant,))
        sql = f"SELECT {keys.COLUMNS} FROM identity_keys {where} ORDER BY created DESC, id LIMIT {LIST_LIMIT}"  # noqa: S608 - all of it is written here
        return [keys.view(row) for row in await self._database.read(lambda tx: tx.all(sql, *values))]

    async def list_tenants(self) -> list[str]:
        """Every tenant that has, or had, a key."""
        rows = await self._database.read(lambda tx: tx.all("SELECT id FROM identity_tenants ORDER BY id"))
        return [str(row[0]) for row in rows]

    async def revoke(self, key_id: str, *, now: float, tenant: str | None = None, actor: str = "cli") -> ApiKey | None:
        """End a key for good, at once and everywhere; once more changes nothing.

        ``None`` when there is no such key, or it is not the ``tenant``'s.
        """
        key = await self._database.write(lambda tx: keys.revoke(tx, key_id, tenant=tenant, now=now, actor=actor))
        self._forget(key_id)
        return key

    async def rotate(
        self, key_id: str, *, overlap_s: float, now: float, tenant: str | None = None, actor: str = "cli"
    ) -> tuple[ApiKey, str] | None:
        """Replace a key by a new one of the same tenant, name, role and scopes; the old one lasts ``overlap_s`` more.

        A key that was made for a length of time gets a successor for the same length. ``None`` when there is no such
        key, or it is not the ``tenant``'s. Raises :class:`IdentityError` when the key has ended or was rotated before:
        of two successors one would be a key that nobody uses and nobody misses.
        """
        text, presented = _drawn()
        lasts = _overlap(overlap_s)
        new = await self._database.write(
            lambda tx: keys.rotate(tx, key_id, presented, overlap_s=lasts, tenant=tenant, now=now, actor=actor)
        )
        self._forget(key_id)
        return None if new is None else (new, text)

    # ------------------------------------------------------------ the trail

    async def audit(
        self,
        tenant: str,
        *,
        actor: str,
        action: str,
        target: str,
        detail: Mapping[str, Any] | None = None,
        now: float,
    ) -> None:
        """Write down that ``actor`` (the id of a key) did something; returns once it is on disk."""
        await self._trail.append(
            AuditEntry(tenant=tenant, at=now, actor=actor, action=action, target=target, detail=detail or {})
        )

    async def audit_entries(
        self, tenant: str, *, limit: int, before: int | None = None, action: str | None = None
    ) -> list[AuditEntry]:
        """Newest first; ``before`` is the ``seq`` of the last entry of the page before."""
        return await self._trail.entries(tenant, limit=limit, before=before, action=action)

    async def trim_audit(self, *, older_than: float, limit: int = 1000) -> int:
        """Remove the oldest entries from before a time, at most ``limit``; how many it were."""
        return await self._trail.trim(older_than=older_than, limit=limit)

    # ------------------------------------------------------------ callback secrets

    async def callback_secrets(self, tenant: str, *, now: float) -> list[CallbackSecret]:
        """What the tenant's callbacks are signed with, newest first; the first one is drawn on the first call."""
        found = await self._database.read(lambda tx: callback_secrets.good(tx, tenant, now=now))
        if any(secret.expires is None for secret in found):
            return found

        def work(tx: Tx) -> list[CallbackSecret]:
            callback_secrets.draw(tx, tenant, now=now)
            return callback_secrets.good(tx, tenant, now=now)

        return await self._database.write(work)

    async def rotate_callback_secret(
        self, tenant: str, *, overlap_s: float, now: float, actor: str = "cli"
    ) -> list[CallbackSecret]:
        """Put a fresh secret in force; callbacks are signed with the old one too for ``overlap_s`` more."""

        def work(tx: Tx) -> list[CallbackSecret]:
            callback_secrets.rotate(tx, tenant, overlap_s=_overlap(overlap_s), now=now, actor=actor)
            return callback_secrets.good(tx, tenant, now=now)

        return await self._database.write(work)

    # ------------------------------------------------------------ in the background

    async def flush(self) -> None:
        """Write when keys were last used. It happens by itself."""
        used, self._used = self._used, {}
        rows = [(at, key_id, at) for key_id, at in used.items() if key_id not in self._static]
        if rows:
            sql = "UPDATE identity_keys SET last_used = ? WHERE id = ? AND (last_used IS NULL OR last_used < ?)"
            await self._database.write(lambda tx: tx.many(sql, rows))

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            try:
                await self.flush()
            except StoreError as error:
                log.warning("last use of keys not written", extra={"action": "last_used", "why": str(error)})

    async def _follow(self) -> None:
        while True:
            try:
                async for key_id in self._database.listen(keys.CHANNEL):
                    self._forget(key_id or None)
            except StoreError as error:
                log.warning("changes of keys are not heard", extra={"action": "listen", "why": str(error)})
            self._forget(None)
            await asyncio.sleep(_RETRY_S)

    def _forget(self, key_id: str | None) -> None:
        """Rely no longer on what is remembered of a key; of all of them without an id."""
        self._changes += 1
        if key_id is None:
            self._known.clear()
        else:
            self._known.pop(key_id, None)


def _overlap(overlap_s: float) -> float:
    if not 0.0 <= overlap_s < float("inf"):
        raise IdentityError(f"an overlap of {overlap_s} s will not do; give 0 or more")
    return overlap_s


def _drawn() -> tuple[str, PresentedKey]:
    text = new_key()
    presented = parse(text)
    if presented is None:
        raise AssertionError("new_key drew a key that parse does not read")
    return text, presented


def _remember(memory: OrderedDict[Any, Any], key: object, value: object) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)


def _static(configured: Mapping[str, Principal]) -> Iterable[tuple[str, _Known]]:
    for text, principal in configured.items():
        presented = parse(text)
        if presented is None:
            raise IdentityError(
                f"the configured key of {principal.tenant} is not an API key; "
                "make one with `holdfast key create --quiet`, and see that nothing of it was cut off"
            )
        yield presented.id, _Static(presented.digest, principal, None, 0.0)


class _Static(_Known):
    """A key of the configuration: holds as long as the process."""

    __slots__ = ()

    def holds(self, now: float) -> bool:
        return True
