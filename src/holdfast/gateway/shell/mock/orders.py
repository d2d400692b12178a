"""What the scripted provider is told to do with one request.

An order is ``name`` or ``name=value``; several are separated by commas, semicolons or spaces. They come from the plan
of the process (:mod:`.faults`), the field ``x-mock``, the model name (``mock-small@first_token=2s,cut=100``) and the
last user message (``[[mock: 429=3s]]``); later ones of this list win. A client library cannot always set a field, and a
gateway may drop it; a model name and a text always get through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, Literal

from holdfast.gateway.errors import GatewayError
from holdfast.kernel import Duration

UsageLie = Literal["", "negative", "zero", "absurd", "missing"]
_IN_TEXT: Final = re.compile(r"\[\[mock:([^\]]{0,512})\]\]")
_SEPARATORS: Final = re.compile(r"[\s,;]+")
_STATUS: Final = re.compile(r"[345][0-9][0-9]")


class BadOrder(GatewayError):
    """An order that nobody understands: better a failed test than a fault that never happened."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """All that can be ordered. Times are seconds, positions count from the first byte or frame of the body."""

    answer: str = ""
    """``echo``, ``words``, ``json``, ``text``; empty: pseudo-text from a seed of the prompt."""
    words: int = 0
    text: str = ""
    """For ``answer=text``; ``+`` stands for a space."""
    thinking: int = 0
    """Tokens of thinking before the answer, where the protocol can show it; counted as reasoning everywhere."""
    cached: int = 0
    """Input tokens to report as read from the cache, at most all."""
    cache_write: int = 0
    broken_arguments: bool = False
    """A tool call whose arguments are no JSON."""
    decline: bool = False
    """The model declines: the finish reason is the protocol's word for filtered content."""

    first_token: float | None = None
    pace: float | None = None
    """Tokens per second; 0 is as fast as it goes."""
    slow_head: float = 0.0
    drip_head: float = 0.0
    """Between two bytes of the head."""
    stall: int | None = None
    """Frames after which nothing comes any more, the connection open."""
    cut: int | None = None
    """Bytes of the body after which the connection is closed."""
    reset: int | None = None
    """Bytes of the body after which the connection is reset."""
    merged: int = 0
    """Frames to a chunk."""
    split: bool = False
    """Each frame comes in two halves, some milliseconds apart."""
    crlf: bool = False
    """Lines of events end in CRLF."""
    chunk: int = 0
    """Bytes in a chunk."""
    comments: bool = False
    """A comment before each event, as proxies send to keep a stream alive."""

    status: int = 0
    retry_after: float | None = None
    malformed: bool = False
    html: int = 0
    """An HTML page with this status, as a load balancer in front of a provider would send."""
    wrong_protocol: bool = False
    usage: UsageLie = ""
    endless: bool = False
    error_after: int | None = None
    """Frames after which an error event ends the stream."""
    drop: bool = False
    """The connection is reset instead of an answer."""


PLAIN: Final = Orders()


def duration(text: str) -> float:
    """Seconds: ``2s``, ``250ms`` or a bare number. Raises ``ValueError``."""
    return float(text) if text.replace(".", "", 1).isdigit() else float(Duration.parse(text))


def _flag(text: str) -> bool:
    if text not in ("", "1", "true"):
        raise ValueError("it takes no value")
    return True


def _count(text: str) -> int:
    if not text.isdigit():
        raise ValueError("it takes a whole number")
    return int(text)


def _lie(text: str) -> str:
    if text not in ("negative", "zero", "absurd", "missing"):
        raise ValueError("it is negative, zero, absurd or missing")
    return text


_SPECIAL: Final[dict[str, Callable[[str], Any]]] = {
    "answer": str,
    "text": lambda text: text.replace("+", " "),
    "first_token": duration,
    "slow_head": duration,
    "drip_head": duration,
    "retry_after": duration,
    "pace": float,
    "usage": _lie,
    "html": lambda text: _count(text or "502"),
}
_READERS: Final[dict[str, Callable[[str], Any]]] = {
    field.name: _SPECIAL.get(field.name, _flag if field.type == "bool" else _count) for field in fields(Orders)
}
_ALIASES: Final = {"slow": "first_token", "one_byte": "chunk"}


@lru_cache(maxsize=4096)
def parse(text: str) -> Mapping[str, Any]:
    """The orders in a text, by field of :class:`Orders`. Raises :class:`BadOrder`.

    Short forms: ``429=3s`` is ``status=429,retry_after=3s``, ``words=5`` includes ``answer=words``, ``echo`` and
    ``json`` are ``answer=...``, ``slow`` is ``first_token``, ``one_byte`` is ``chunk=1``.
    """
    found: dict[str, Any] = {}
    for order in _SEPARATORS.split(text.strip()):
        if not order:
            continue
        name, _, value = order.partition("=")
        if _STATUS.fullmatch(name):
            found["status"] = int(name)
            if not value:
                continue
            name = "retry_after"
        elif name in ("echo", "json"):
            name, value = "answer", name
        elif name in ("words", "text"):
            found["answer"] = name
        elif name == "one_byte":
            value = "1"
        name = _ALIASES.get(name, name)
        reader = _READERS.get(name)
        if reader is None:
            raise BadOrder(f"unknown order {order!r}; known are {', '.join(sorted(_READERS))}")
        try:
            found[name] = reader(value)
        except ValueError as error:
            raise BadOrder(f"order {order!r}: {error}") from None
    return found


def in_text(text: str) -> tuple[str, str]:
    """The text without its directives, and the orders in them."""
    if "[[mock:" not in text:
        return text, ""
    return _IN_TEXT.sub("", text).strip(), " ".join(_IN_TEXT.findall(text))


def build(*sources: Mapping[str, Any]) -> Orders:
    """One set of orders; later sources win."""
    merged: dict[str, Any] = {}
    for source in sources:
        merged.update(source)
    return Orders(**merged) if merged else PLAIN
