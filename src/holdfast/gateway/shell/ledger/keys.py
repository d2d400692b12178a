"""Virtual keys: what a key of ``identity`` is to the gateway. Whose it is, what it may do, how its use is labelled.

``identity`` knows secrets, scopes, expiry and revocation; this is the row beside it. A key that has been used is kept
in memory, so that the hot path asks nobody; a change in any process is announced through the store, and the row is
read again. It is never just dropped: between being forgotten and being read a key would have the limits of none.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from holdfast.gateway.core.ports import Holder
from holdfast.gateway.core.settings import LimitSettings
from holdfast.gateway.errors import GatewayError
from holdfast.gateway.shell.ledger.schema import COMPONENT, VERSIONS
from holdfast.identity import ApiKey, Identities, Principal
from holdfast.store import Database, Row, StoreError, Tx

CHANNEL: Final = "gateway_keys"
"""Carries the id of a key whose row changed."""
IDENTITY_CHANNEL: Final = "identity_keys"
REMEMBERED: Final = 20_000
LIST_LIMIT: Final = 1000
_NAME_CHARS: Final = 100
_TAGS: Final = 16
_COLUMNS: Final = "key_id, tenant, team, holder, limits, tags, created_by, created"
_RETRY_S: Final = 1.0
_SOME: Final = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualKey:
    """The gateway's side of a key."""

    key_id: str
    tenant: str
    team: str | None
    user: str | None
    limits: LimitSettings | None
    """``None``: those of ``limits.default``."""
    tags: tuple[str, ...]
    created_by: str
    created: float


class KeyBook:
    """Makes, changes and finds virtual keys. Open it before use; close it in the end."""

    def __init__(self, database: Database, identities: Identities, *, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds since the epoch."""
        self._database = database
        self._identities = identities
        self._clock = clock
        self._known: OrderedDict[str, VirtualKey | None] = OrderedDict()
        self._callbacks: list[Callable[[str], None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Bring the tables up to date and follow changes. Raises ``StoreError``."""
        await self._database.migrate(COMPONENT, VERSIONS)
        self._tasks = [
            asyncio.create_task(self._follow(CHANNEL, self._refresh), name="gateway key changes"),
            asyncio.create_task(self._follow(IDENTITY_CHANNEL, self._judge), name="gateway key revocations"),
        ]

    async def close(self) -> None:
        """Follow changes no longer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    # ------------------------------------------------------------ the hot path

    def known(self, key_id: str) -> bool:
        """Whether :meth:`limits` and :meth:`holder_of` can answer without the store."""
        return key_id in self._known

    def limits(self, key_id: str) -> LimitSettings | None:
        """Of a key that is known; ``None`` for one that has none of its own."""
        key = self._known.get(key_id)
        return None if key is None else key.limits

    async def holder(self, principal: Principal, tags: Sequence[str] = ()) -> Holder:
        """Who pays for what a caller asks. Raises ``StoreUnavailable`` when a key was never seen and cannot be now."""
        if principal.key_id not in self._known:
            await self._refresh([principal.key_id])
        key = self._known.get(principal.key_id)
        if key is None or key.tenant != principal.tenant:
            return Holder(tenant=principal.tenant, key_id=principal.key_id, tags=tuple(tags))
        both = tuple(dict.fromkeys((*key.tags, *tags)))
        return Holder(tenant=key.tenant, key_id=key.key_id, team=key.team, user=key.user, tags=both)

    def on_revoked(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call back with the id of a key that ended, in whatever process; the function returned ends that.

        A key may be told more than once. The announcement takes milliseconds; if it is lost, a second.
        """
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    # ------------------------------------------------------------ manage

    async def create(
        self,
        tenant: str,
        *,
        team: str | None = None,
        user: str | None = None,
        limits: LimitSettings | None = None,
        tags: Iterable[str] = (),
        role: str = "developer",
        scopes: Iterable[str] | None = None,
        name: str = "",
        expires: float | None = None,
        actor: str = "cli",
    ) -> tuple[VirtualKey, ApiKey, str]:
        """Make a key; its text is kept nowhere.

        Raises :class:`GatewayError` and ``IdentityError`` for what will not do.
        """
        labels = _labels(team, user, tags)
        now = self._clock()
        made, text = await self._identities.create_key(
            tenant, role=role, scopes=scopes, name=name, expires=expires, now=now, actor=actor
        )
        key = VirtualKey(
            key_id=made.id,
            tenant=tenant,
            team=team,
            user=user,
            limits=limits,
            tags=labels,
            created_by=actor,
            created=now,
        )
        try:
            await self._database.write(lambda tx: _insert(tx, key))
        except BaseException:
            # Without its row it would be a key with everybody's limits. Nobody has its text yet.
            await asyncio.shield(self._identities.revoke(made.id, now=now, actor=actor))
            raise
        return key, made, text

    async def get(self, key_id: str, *, tenant: str | None = None) -> VirtualKey | None:
        """A key by its id; with ``tenant`` only one of that tenant."""
        rows = await self._database.read(lambda tx: _select(tx, [key_id]))
        key = _view(rows[0]) if rows else None
        return key if key is None or tenant is None or key.tenant == tenant else None

    async def list(self, tenant: str | None = None, *, limit: int = 100, offset: int = 0) -> list[VirtualKey]:
        """Keys of a tenant, or of all, newest first."""
        where, values = ("", ()) if tenant is None else ("WHERE tenant = ?", (tenant,))
        sql = f"SELECT {_COLUMNS} FROM gateway_keys {where} ORDER BY created DESC, key_id LIMIT ? OFFSET ?"  # noqa: S608
        rows = await self._database.read(lambda tx: tx.all(sql, *values, min(limit, LIST_LIMIT), offset))
        return [_view(row) for row in rows]

    async def update(
        self,
        key_id: str,
        *,
        tenant: str | None = None,
        team: str | None = None,
        user: str | None = None,
        limits: LimitSettings | None = None,
        tags: Iterable[str] = (),
    ) -> VirtualKey | None:
        """Replace whose it is and what it may do; ``None`` when there is no such key (of this tenant)."""
        labels = _labels(team, user, tags)

        def work(tx: Tx) -> VirtualKey | None:
            rows = _select(tx, [key_id])
            if not rows or (tenant is not None and rows[0][1] != tenant):
                return None
            tx.run(
                "UPDATE gateway_keys SET team = ?, holder = ?, limits = ?, tags = ? WHERE key_id = ?",
                team,
                user,
                _limits(limits),
                _json(labels),
                key_id,
            )
            tx.notify(CHANNEL, key_id)
            return _view(_select(tx, [key_id])[0])

        key = await self._database.write(work)
        if key is not None and key_id in self._known:
            self._known[key_id] = key
        return key

    async def revoke(self, key_id: str, *, tenant: str | None = None, actor: str = "cli") -> ApiKey | None:
        """End a key for good, at once and everywhere. Its row stays, for the reports."""
        key = await self._identities.revoke(key_id, now=self._clock(), tenant=tenant, actor=actor)
        if key is not None:
            self._tell(key_id)
        return key

    # ------------------------------------------------------------ in the background

    async def _refresh(self, ids: Sequence[str]) -> None:
        for at in range(0, len(ids), _SOME):
            some = list(ids[at : at + _SOME])
            rows = await self._database.read(lambda tx, s=some: _select(tx, s))  # type: ignore[misc]
            found = {str(row[0]): _view(row) for row in rows}
            for key_id in some:
                self._known[key_id] = found.get(key_id)
                self._known.move_to_end(key_id)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _judge(self, ids: Sequence[str]) -> None:
        # Not `principal`: it may still remember the key, since nobody says who of us hears of a change first.
        for key_id in await self._identities.ended(ids, now=self._clock()):
            self._tell(key_id)

    def _tell(self, key_id: str) -> None:
        for callback in tuple(self._callbacks):
            callback(key_id)

    async def _follow(self, channel: str, work: Callable[[Sequence[str]], Any]) -> None:
        while True:
            try:
                async for key_id in self._database.listen(channel):
                    if not key_id:
                        await work(list(self._known))
                    elif key_id in self._known:
                        await work([key_id])
            except StoreError as error:
                log.warning("changes of keys are not heard: %s", error, extra={"action": "gateway_keys_listen"})
            await asyncio.sleep(_RETRY_S)


def _labels(team: str | None, user: str | None, tags: Iterable[str]) -> tuple[str, ...]:
    labels = tuple(dict.fromkeys(tags))
    for what, name in (("team", team), ("user", user), *(("tag", tag) for tag in labels)):
        if name is not None and not (0 < len(name) <= _NAME_CHARS and name.isprintable() and "/" not in name):
            raise GatewayError(
                f"{name[:80]!r} cannot be a {what}: use 1 to {_NAME_CHARS} printable characters without /"
            )
    if len(labels) > _TAGS:
        raise GatewayError(f"a key has at most {_TAGS} tags; got {len(labels)}")
    return labels


def _insert(tx: Tx, key: VirtualKey) -> None:
    tx.run(
        f"INSERT INTO gateway_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - names of columns
        key.key_id,
        key.tenant,
        key.team,
        key.user,
        _limits(key.limits),
        _json(key.tags),
        key.created_by,
        key.created,
    )
    tx.notify(CHANNEL, key.key_id)


def _select(tx: Tx, ids: Sequence[str]) -> list[Row]:
    marks = ", ".join("?" * len(ids))
    return tx.all(f"SELECT {_COLUMNS} FROM gateway_keys WHERE key_id IN ({marks})", *ids) if ids else []  # noqa: S608 - marks only


def _view(row: Row) -> VirtualKey:
    key_id, tenant, team, user, limits, tags, created_by, created = row
    return VirtualKey(
        key_id=key_id,
        tenant=tenant,
        team=team,
        user=user,
        limits=msgspec.json.decode(limits, type=LimitSettings) if limits else None,
        tags=msgspec.json.decode(tags, type=tuple[str, ...]),
        created_by=created_by,
        created=created,
    )


def _limits(limits: LimitSettings | None) -> str:
    return "" if limits is None else _json(limits)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
