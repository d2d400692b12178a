"""The signature of what a webhook channel sends. Pure.

::

    Holdfast-Signature: t=1732287600,v1=HEX[,v1=HEX]

    HEX = HMAC-SHA256(secret, t "." body), in lower-case hexadecimal
    t   = seconds since the epoch, of this attempt

The time is under the signature, so that a request that was overheard cannot be sent again later. A receiver refuses
what is older than its tolerance, and drops what it has seen by the notice's key in the body: an attempt whose answer
got lost is repeated, with another time and the same key. More than one ``v1`` is allowed, for a secret that is being
changed.

The form is the one that Stripe made known (https://docs.stripe.com/webhooks#verify-manually), so that receivers of it
need to change no more than names.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "Holdfast-Signature"
TOLERANCE_S: Final = 300.0
"""How far the time may be off, either way."""
_MOST_SIGNATURES: Final = 8
"""Of one request: it comes from outside."""


def sign(secret: str, body: bytes, *, now: float) -> str:
    """The value of the header field for one attempt. ``body``: exactly the bytes that are sent."""
    timestamp = str(int(now))
    return f"t={timestamp},v1={_mac(secret, timestamp, body)}"


def verify(secret: str, header: str, body: bytes, *, now: float, tolerance_s: float = TOLERANCE_S) -> str | None:
    """``None`` when the request is genuine; else what is wrong with it, for a log.

    Args:
        secret: The channel's.
        header: The value of the field; empty when there was none.
        body: The bytes as they came.
        now: Seconds since the epoch.
        tolerance_s: How far the time may be off, either way.
    """
    if not header:
        return f"{HEADER} is missing"
    fields = [field.partition("=") for field in header.split(",")[: 1 + _MOST_SIGNATURES]]
    timestamp = next((value for name, _, value in fields if name == "t"), "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return f"{HEADER} has no time in whole seconds since the epoch"
    if abs(now - int(timestamp)) > tolerance_s:
        return f"{HEADER} is {now - int(timestamp):.0f} s away from the clock; {tolerance_s:.0f} s are allowed"
    wanted = _mac(secret, timestamp, body).encode()
    genuine = False
    for name, _, value in fields:  # all of them, whichever fits: the time that it takes tells nothing
        genuine |= name == "v1" and hmac.compare_digest(value.encode("utf-8", "replace"), wanted)
    return None if genuine else "no signature fits the secret"


def _mac(secret: str, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
