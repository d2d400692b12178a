"""Signatures of callbacks, after Standard Webhooks. Pure.

::

    webhook-id: 01JD...                     the same in every attempt, so that a receiver can tell a repetition
    webhook-timestamp: 1732287600           of the attempt, seconds since the epoch
    webhook-signature: v1,BASE64 v1,BASE64  one for each secret in force, the newest first

    signature = base64(HMAC-SHA256(key, id "." timestamp "." body))
    secret    = "whsec_" base64(key)        24 to 64 bytes of key

The signature covers id and time, so that neither can be changed. A receiver refuses what is older than its tolerance,
and remembers the ids of that time if it must not act twice.

Source: Standard Webhooks 1.0.0, https://github.com/standard-webhooks/standard-webhooks (spec/standard-webhooks.md).
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Final

PREFIX: Final = "whsec_"
ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
TOLERANCE_S: Final = 300.0
"""How far a timestamp may be off, either way: five minutes, as in the reference implementations."""
_MOST_SIGNATURES: Final = 16
"""Of one request. It comes from outside, and each one costs a comparison with each secret."""


def sign(secrets: Sequence[str], *, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three header fields of one attempt.

    Args:
        secrets: Those in force, the newest first; at least one.
        id: Of the callback; printable ASCII without a dot or a space.
        timestamp: Of the attempt, seconds since the epoch.
        body: Exactly the bytes that are sent.

    Raises:
        ValueError: ``id`` or a secret has another form, or there is no secret.
    """
    if not secrets:
        raise ValueError("a callback is signed with at least one secret")
    if not id or "." in id or not (id.isascii() and id.isprintable()) or " " in id:
        raise ValueError(f"not the id of a callback: {id!r}; it is printable ASCII without dots and spaces")
    signatures = [f"v1,{_mac(key_of(secret), id, str(timestamp), body)}" for secret in secrets]
    return {ID: id, TIMESTAMP: str(timestamp), SIGNATURE: " ".join(signatures)}


def verify(
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    tolerance_s: float = TOLERANCE_S,
) -> str | None:
    """``None`` when the request is genuine; else what is wrong with it, for a log.

    Args:
        secrets: Any of them will do.
        headers: With names in lower case.
        body: The bytes as they came.
        now: Seconds since the epoch.
        tolerance_s: How far the timestamp may be off, either way.
    """
    id, timestamp, given = (headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not (id and timestamp and given):
        return f"{ID}, {TIMESTAMP} or {SIGNATURE} is missing"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return f"{TIMESTAMP} is not in whole seconds since the epoch"
    if abs(now - int(timestamp)) > tolerance_s:
        return f"{TIMESTAMP} is {now - int(timestamp):.0f} s away from the clock; {tolerance_s:.0f} s are allowed"
    signatures = [text[3:].encode() for text in given.split(" ")[:_MOST_SIGNATURES] if text.startswith("v1,")]
    genuine = False
    for secret in secrets:
        wanted = _mac(key_of(secret), id, timestamp, body).encode()
        for signature in signatures:  # all of them, whichever fits: the time tells nothing
            genuine |= hmac.compare_digest(signature, wanted)
    return None if genuine else "no signature fits a secret in force"


def key_of(secret: str) -> bytes:
    """The key in a secret.

    Raises:
        ValueError: It is not ``whsec_`` and base64 of 24 to 64 bytes. The secret is not in the message.
    """
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError(f"not a callback secret; it is {PREFIX} and base64 of 24 to 64 random bytes") from None
    return key


def _mac(key: bytes, id: str, timestamp: str, body: bytes) -> str:
    message = b".".join((id.encode(), timestamp.encode(), body))
    return b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode("ascii")
