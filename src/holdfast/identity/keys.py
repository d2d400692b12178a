"""API keys as records: the rules for making and ending one, and the statements that keep them.

    active --revoke--> revoked     for good
       |-----expiry--> expired
       +-----rotate--> active for the overlap, then expired; ``replaced_by`` names the successor

The functions below work inside the caller's transaction. Each writes its entry of the audit trail and
announces the change in the same transaction, so that neither can be had without the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from holdfast.identity.audit import AuditEntry, record
from holdfast.identity.errors import IdentityError
from holdfast.identity.key import PresentedKey
from holdfast.identity.principal import ROLES, Principal, Scope
from holdfast.store import Tx

CHANNEL: Final = "identity_keys"
"""Carries the id of a key that changed."""
COLUMNS: Final = "id, tenant, name, role, scopes, created, expires, revoked, last_used, replaced_by"
_NAME_LIMIT: Final = 100
_TENANT: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SCOPES: Final[Mapping[str, Scope]] = {scope.value: scope for scope in Scope}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it may be shown. Times are seconds since the epoch."""

    id: str
    tenant: str
    name: str
    role: str
    scopes: frozenset[Scope]
    created: float
    expires: float | None
    revoked: float | None
    last_used: float | None
    """Up to half a minute behind."""
    replaced_by: str | None
    """The key that it was rotated to."""

    def state(self, now: float) -> Literal["active", "expired", "revoked"]:
        """What the key is good for."""
        if self.revoked is not None:
            return "revoked"
        return "active" if self.expires is None or now < self.expires else "expired"

    def principal(self) -> Principal:
        """Whom it speaks for."""
        return Principal(tenant=self.tenant, key_id=self.id, scopes=self.scopes)


def make(
    presented: PresentedKey,
    tenant: str,
    *,
    role: str,
    scopes: Iterable[str] | None,
    name: str,
    expires: float | None,
    now: float,
) -> ApiKey:
    """A new key, not yet stored. Raises :class:`IdentityError` for what will not do."""
    if not _TENANT.fullmatch(tenant):
        raise IdentityError(
            f"{tenant[:80]!r} cannot name a tenant; use up to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
        )
    if role not in ROLES:
        raise IdentityError(f"there is no role {role[:80]!r}; the roles are {', '.join(ROLES)}")
    if len(name) > _NAME_LIMIT or not name.isprintable():
        raise IdentityError(f"a name has at most {_NAME_LIMIT} characters, all of them printable")
    if expires is not None and not now < expires < float("inf"):
        raise IdentityError("a key has to expire after now")
    wanted = set(ROLES[role] if scopes is None else scopes)
    if not wanted or not wanted <= ROLES[role]:
        got, allowed = ", ".join(sorted(wanted)) or "none", ", ".join(sorted(ROLES[role]))
        raise IdentityError(f"the scopes of a key with role {role} are a part of {allowed}; got {got[:200]}")
    return _new(presented, tenant, role, frozenset(_SCOPES[scope] for scope in wanted), name, expires, now)


def create(tx: Tx, key: ApiKey, digest: bytes, *, actor: str) -> None:
    """Store a key, and its tenant if this is the first."""
    tx.run(
        "INSERT INTO identity_tenants (id, created) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", key.tenant, key.created
    )
    _insert(tx, key, digest)
    record(tx, _entry(key, "key.create", actor, key.created, name=key.name, role=key.role, expires=key.expires))


def revoke(tx: Tx, key_id: str, *, tenant: str | None, now: float, actor: str) -> ApiKey | None:
    """End a key; ``None`` when there is no such key (of this tenant)."""
    key = find(tx, key_id, tenant)
    if key is None or key.revoked is not None:
        return key
    if tx.run("UPDATE identity_keys SET revoked = ? WHERE id = ? AND revoked IS NULL", now, key_id):
        record(tx, _entry(key, "key.revoke", actor, now, name=key.name))
        tx.notify(CHANNEL, key_id)
    return find(tx, key_id, tenant)


def rotate(
    tx: Tx, key_id: str, presented: PresentedKey, *, overlap_s: float, tenant: str | None, now: float, actor: str
) -> ApiKey | None:
    """Store a successor; ``None`` when there is no such key (of this tenant). Raises :class:`IdentityError`."""
    old = find(tx, key_id, tenant)
    if old is None:
        return None
    if old.replaced_by is not None:
        raise IdentityError(f"key {key_id} was rotated to {old.replaced_by}; rotate that one, or create a key")
    if old.state(now) != "active":
        raise IdentityError(f"key {key_id} is {old.state(now)}; create a new one")
    ends = now + overlap_s if old.expires is None else min(old.expires, now + overlap_s)
    lasts = None if old.expires is None else now + (old.expires - old.created)
    new = _new(presented, old.tenant, old.role, old.scopes, old.name, lasts, now)
    # Of two rotations that read at the same time, the condition lets one through.
    if not tx.run(
        "UPDATE identity_keys SET replaced_by = ?, expires = ? "
        "WHERE id = ? AND replaced_by IS NULL AND revoked IS NULL",
        new.id,
        ends,
        key_id,
    ):
        raise IdentityError(f"key {key_id} was changed by somebody else at the same time; look at it and try again")
    _insert(tx, new, presented.digest)
    record(tx, _entry(old, "key.rotate", actor, now, name=old.name, successor=new.id, ends=ends))
    tx.notify(CHANNEL, key_id)
    return new


def find(tx: Tx, key_id: str, tenant: str | None = None) -> ApiKey | None:
    """A key by its id; with ``tenant`` only one of that tenant."""
    row = tx.one(f"SELECT {COLUMNS} FROM identity_keys WHERE id = ?", key_id)  # noqa: S608 - names of columns
    key = None if row is None else view(row)
    return key if key is None or tenant is None or key.tenant == tenant else None


def view(row: Sequence[Any]) -> ApiKey:
    """A row of :data:`COLUMNS`."""
    key_id, tenant, name, role, scopes, created, expires, revoked, last_used, replaced_by = row
    return ApiKey(
        id=key_id,
        tenant=tenant,
        name=name,
        role=role,
        # A scope that a newer version wrote means nothing here, so it allows nothing.
        scopes=frozenset(_SCOPES[scope] for scope in scopes.split() if scope in _SCOPES),
        created=created,
        expires=expires,
        revoked=revoked,
        last_used=last_used,
        replaced_by=replaced_by,
    )


def _new(
    presented: PresentedKey,
    tenant: str,
    role: str,
    scopes: frozenset[Scope],
    name: str,
    expires: float | None,
    now: float,
) -> ApiKey:
    return ApiKey(
        id=presented.id,
        tenant=tenant,
        name=name,
        role=role,
        scopes=scopes,
        created=now,
        expires=expires,
        revoked=None,
        last_used=None,
        replaced_by=None,
    )


def _insert(tx: Tx, key: ApiKey, digest: bytes) -> None:
    tx.run(
        "INSERT INTO identity_keys (id, tenant, name, role, scopes, digest, created, expires) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        key.id,
        key.tenant,
        key.name,
        key.role,
        " ".join(sorted(key.scopes)),
        digest,
        key.created,
        key.expires,
    )


def _entry(key: ApiKey, action: str, actor: str, now: float, **detail: object) -> AuditEntry:
    return AuditEntry(tenant=key.tenant, at=now, actor=actor, action=action, target=key.id, detail=detail)
