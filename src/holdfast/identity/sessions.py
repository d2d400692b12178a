"""Sessions of the console: a signed value for a cookie, which says which key its owner signed in with.

    session = "v1" "." signing-key "." api-key-id "." expires "." nonce "." signature

Nothing is stored per session. What the owner may do is asked of the API key each time, so a
revoked or expired key ends its sessions with it. Signing keys are shared through the store; a new
one is drawn every week, and an old one goes when no session that it signed can be alive.

Signing out removes the cookie from the browser; a copy of it stays good until it expires.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Final

from holdfast.identity.errors import IdentityError
from holdfast.identity.identities import Identities
from holdfast.identity.principal import Principal
from holdfast.store import Database, Tx

LIFETIME_S: Final = 12 * 3600.0
"""A working day: whoever signed in in the morning is not asked again in the afternoon."""
ROTATE_S: Final = 7 * 86_400.0
_RELOAD_S: Final = 1.0
_FORM: Final = re.compile(r"(v1\.([\w-]{1,32})\.(\w{1,32})\.(\d{1,12})\.[\w-]{1,32})\.([\w-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class _SigningKey:
    id: str
    created: float
    secret: bytes = field(repr=False)

    def sign(self, body: str) -> str:
        mac = digest(self.secret, b"holdfast console session\0" + body.encode("ascii"), sha256)
        return urlsafe_b64encode(mac).rstrip(b"=").decode("ascii")


class SessionTokens:
    """Makes and reads session values. The database's tables are those of ``identities``, open before."""

    def __init__(self, database: Database, identities: Identities) -> None:
        self._database = database
        self._identities = identities
        self._keys: dict[str, _SigningKey] = {}
        self._loaded = float("-inf")
        self._loading = asyncio.Lock()

    async def issue(self, principal: Principal, *, now: float, lifetime_s: float = LIFETIME_S) -> str:
        """A value for the cookie of somebody who has just shown a key. Raises ``StoreUnavailable``."""
        if not 0.0 < lifetime_s <= LIFETIME_S:
            raise IdentityError(f"a session lasts at most {LIFETIME_S:.0f} s; got {lifetime_s}")
        key = max(self._keys.values(), key=lambda key: key.created, default=None)
        if key is None or not 0.0 <= now - key.created < ROTATE_S:
            key = await self._current(now)
        body = f"v1.{key.id}.{principal.key_id}.{int(now + lifetime_s)}.{secrets.token_urlsafe(12)}"
        return f"{body}.{key.sign(body)}"

    async def verify(self, value: str, *, now: float) -> Principal | None:
        """Who has signed in; ``None`` when nobody has, or no longer. Raises ``StoreUnavailable``."""
        match = _FORM.fullmatch(value)
        if match is None:
            return None
        body, key_id, api_key_id, expires, signature = match.groups()
        if key_id not in self._keys:
            await self._reload(now)
        key = self._keys.get(key_id)
        if key is None or not compare_digest(key.sign(body), signature):
            return None
        # `int(...)` only of what we signed.
        if not now < int(expires) or now - key.created > ROTATE_S + LIFETIME_S:
            return None
        return await self._identities.principal(api_key_id, now=now)

    async def _reload(self, now: float) -> None:
        """Learn of keys that another process drew; at most once a second, whatever is presented."""
        async with self._loading:
            if 0.0 <= now - self._loaded < _RELOAD_S:
                return
            self._keys = await self._database.read(_read)
            self._loaded = now

    async def _current(self, now: float) -> _SigningKey:
        """The newest key of the store, or a fresh one when that is too old."""
        fresh = _SigningKey(secrets.token_urlsafe(8), now, secrets.token_bytes(32))

        def work(tx: Tx) -> dict[str, _SigningKey]:
            keys = _read(tx)
            if not any(0.0 <= now - key.created < ROTATE_S for key in keys.values()):
                tx.run(
                    "INSERT INTO identity_session_keys (id, secret, created) VALUES (?, ?, ?)",
                    fresh.id,
                    fresh.secret,
                    fresh.created,
                )
                keys[fresh.id] = fresh
            tx.run("DELETE FROM identity_session_keys WHERE created < ?", now - ROTATE_S - LIFETIME_S)
            return keys

        self._keys = await self._database.write(work)
        return max(self._keys.values(), key=lambda key: key.created)


def _read(tx: Tx) -> dict[str, _SigningKey]:
    rows = tx.all("SELECT id, created, secret FROM identity_session_keys")
    return {key_id: _SigningKey(key_id, created, bytes(secret)) for key_id, created, secret in rows}
