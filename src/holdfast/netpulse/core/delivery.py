"""What a channel answered, and what follows from it. Pure.

    ===============================================  ==============================================
    the channel                                      what follows
    ===============================================  ==============================================
    2xx, and nothing in the body says otherwise      sent
    2xx, and the body says that it failed            refused or again, as the service documents it
    408, 425, 429, 5xx                               again
    no connection, no answer in time, broken TLS     again: networks and certificates get mended
    3xx                                              again; redirects are not followed, the log says so
    any other 4xx                                    refused: the same bytes will not be liked better
    an address that may not be called                refused
    ===============================================  ==============================================

Again means: after a wait that doubles up to ``backoff_max``, of which half is chance, and not before a `Retry-After`
(honoured forward only: a service that asks for less than our own wait does not get more requests for it). Attempts
are bounded by ``attempts``; after the last one, and after a refusal,
the notice is given up, which is said in the log and kept with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from holdfast.resilience.backoff import equal_jitter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from holdfast.netpulse.core.settings import ChannelSettings

RETRY_AFTER_LIMIT_S: Final = 3_600.0
"""Longest `Retry-After` that is honoured: a page that comes a day later is none."""
_PATIENCE: Final = frozenset({408, 425, 429})
"""4xx that are about the moment, not about the request: RFC 9110 15.5.9, RFC 8470, RFC 6585."""
_EXCERPT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent to a channel that speaks HTTP."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    body: bytes = b""
    """The first 64 KiB."""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The other side has it."""

    reference: str = ""
    """What it calls it there."""


@dataclass(frozen=True, slots=True)
class Again:
    """It may work later."""

    why: str
    after_s: float = 0.0
    """Asked for by the other side."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It will not work, however often it is tried."""

    why: str


Outcome: TypeAlias = Sent | Again | Refused


@dataclass(frozen=True, slots=True)
class Later:
    """To be tried again."""

    after_s: float
    why: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The end of it, unsent."""

    why: str


def of_status(answer: Answer, *, detail: str = "", reference: str = "") -> Outcome:
    """What an answer means by its status alone. ``detail``: what the service says of it, from its body."""
    status, said = answer.status, f": {line(detail, _EXCERPT)}" if detail else ""
    if 200 <= status < 300:
        return Sent(reference)
    if 300 <= status < 400:
        return Again(f"answered {status}; redirects are not followed, give the final address")
    if status in _PATIENCE or status >= 500:
        return Again(f"answered {status}{said}", answer.retry_after_s or 0.0)
    return Refused(f"answered {status}{said}")


def consequence(outcome: Outcome, *, attempt: int, settings: ChannelSettings, rng: Random) -> Sent | Later | GivenUp:
    """What to do about an attempt, which was number ``attempt`` (from 1)."""
    if isinstance(outcome, Sent):
        return outcome
    if isinstance(outcome, Refused):
        return GivenUp(outcome.why)
    if attempt >= settings.attempts:
        return GivenUp(f"{outcome.why} (attempt {attempt} of {settings.attempts})")
    wait_s = equal_jitter(attempt - 1, rng, base_s=settings.backoff_min, cap_s=settings.backoff_max)
    return Later(max(wait_s, min(outcome.after_s, RETRY_AFTER_LIMIT_S)), outcome.why)


def body_object(answer: Answer) -> Mapping[str, Any]:
    """The JSON object in an answer; empty when it is something else."""
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def line(text: str, limit: int) -> str:
    """Text from outside as one printable line of at most ``limit`` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
