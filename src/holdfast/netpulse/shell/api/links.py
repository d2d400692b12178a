"""Links in messages that act without a login: signed, for one thing, for a time.

    token   = base64url(payload) "." base64url(HMAC-SHA-256(key, payload))
    payload = MessagePack [purpose, tenant, incident, channel, expires]

Whoever has the message may acknowledge its incident, and do nothing else. The key is drawn once and kept among the
records, so that links outlive the process; without the key a link cannot be made, and one that was tampered with is
none. A GET of a link shows a button: mail scanners and chat previews follow links, but press no buttons.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

import msgspec

LASTS_S: Final = 7 * 86_400.0
KEY_BYTES: Final = 32
LONGEST: Final = 512
"""Characters of a token; ids have at most 64 each."""
_KIND: Final = "secret"
_NAME: Final = "links"
_ACKNOWLEDGE: Final = "ack"


class Documents(Protocol):
    """What is needed of the records."""

    async def document(self, kind: str, key: str) -> bytes | None:
        """What was put there."""
        ...

    async def put_document(self, kind: str, key: str, data: bytes | None) -> None:
        """Keep it."""
        ...


class Acknowledgement(msgspec.Struct, frozen=True, array_like=True):
    """What a link allows."""

    purpose: str
    tenant: str
    incident: str
    channel: str
    """That the message went to: who acknowledges by it."""
    expires: int
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Expired:
    """It was good once."""


class Links:
    """Makes links and reads them."""

    def __init__(self, key: bytes, url: Callable[[], str], *, clock: Callable[[], float]) -> None:
        """``url`` gives where people reach the service, empty when they cannot; ``clock`` seconds since the epoch."""
        self._key = key
        self._url = url
        self._clock = clock
        self._decoder = msgspec.msgpack.Decoder(Acknowledgement)

    def acknowledge(self, tenant: str, incident: str, channel: str) -> str:
        """The link by which a message's reader acknowledges; empty without an address that people reach."""
        base = self._url().rstrip("/")
        return f"{base}/ack/{self.token(tenant, incident, channel)}" if base else ""

    def token(self, tenant: str, incident: str, channel: str) -> str:
        """What the link ends in."""
        allowed = Acknowledgement(_ACKNOWLEDGE, tenant, incident, channel, int(self._clock() + LASTS_S))
        payload = msgspec.msgpack.encode(allowed)
        return f"{_text(payload)}.{_text(self._mac(payload))}"

    def read(self, token: str) -> Acknowledgement | Expired | None:
        """What a token allows; ``None`` for what is none of ours."""
        if len(token) > LONGEST or not token.isascii():
            return None
        payload, _, mac = token.partition(".")
        try:
            data, presented = _bytes(payload), _bytes(mac)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(presented, self._mac(data)):
            return None
        try:
            found = self._decoder.decode(data)  # ours, as the signature says; of an older version perhaps
        except msgspec.DecodeError:
            return None
        if found.purpose != _ACKNOWLEDGE:
            return None
        return found if self._clock() < found.expires else Expired()

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, sha256)


async def open_links(records: Documents, url: Callable[[], str], *, clock: Callable[[], float]) -> Links:
    """Links by the key among the records; it is drawn the first time."""
    key = await records.document(_KIND, _NAME)
    if key is None or len(key) != KEY_BYTES:
        await records.put_document(_KIND, _NAME, secrets.token_bytes(KEY_BYTES))
        # Read again: should two processes start at once, both go by the one that stayed.
        key = await records.document(_KIND, _NAME) or b""
    return Links(key, url, clock=clock)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
