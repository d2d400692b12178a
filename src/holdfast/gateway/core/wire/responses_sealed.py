"""Thinking of another protocol inside a reasoning item, so that it comes back unmodified.

A provider may insist on getting its thinking back with the results of tools (Anthropic does), and a client of this
protocol gives reasoning items back as they are. So the block travels in ``encrypted_content``, which clients do not
look into: ``holdfast.PROTOCOL.BASE64URL``. It is not secret, and what comes back is believed no more than if the client
had sent it in that protocol itself: it can hold thinking and nothing else.

Such an item means nothing to a provider of this protocol, which would answer 400: a request with one is never passed
through (:func:`present`), and the writer leaves it out.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, get_args

import msgspec

from holdfast.gateway.core.conversation import ProtocolName, Thinking

_MARK = "holdfast."
_PROTOCOLS: frozenset[str] = frozenset(get_args(ProtocolName)) - {"responses"}
_KINDS = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoningContent"})
"""Types that a block of thinking may have where it has one: a sealed block can be nothing else."""


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    text: str = ""
    signature: str | None = None
    raw: dict[str, Any] | None = None


def sealed(thinking: Thinking) -> str:
    """The block as text. Of other protocols only: this one's items are given as they are."""
    raw = None if thinking.raw is None else dict(thinking.raw)
    content = msgspec.json.encode(_Sealed(text=thinking.text, signature=thinking.signature, raw=raw))
    return f"{_MARK}{thinking.protocol}.{base64.urlsafe_b64encode(content).decode('ascii')}"


def opened(content: str) -> Thinking | None:
    """The block again; ``None`` for what we did not seal, or what was changed since."""
    mark, _, rest = content.partition(".")
    protocol, _, code = rest.partition(".")
    if mark + "." != _MARK or protocol not in _PROTOCOLS:
        return None
    try:
        block = msgspec.json.decode(base64.b64decode(code, altchars=b"-_", validate=True), type=_Sealed)
    except (binascii.Error, ValueError):
        return None
    if block.raw is not None and block.raw.get("type", "thinking") not in _KINDS:
        return None
    name: ProtocolName = protocol  # type: ignore[assignment]  # one of them
    return Thinking(text=block.text, signature=block.signature, protocol=name, raw=block.raw)


def present(body: bytes) -> bool:
    """Whether a request as it came may hold such an item. A false alarm costs a translation and nothing else."""
    return b'"holdfast.' in body
