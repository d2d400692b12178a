"""Questions that mean the same.

Everything but the last question has to be *equal*: tenant, model, instructions, tools, parameters, what was said
before (that is the scope). Of the last question its vector has to be near, and whatever a near vector hides has to be
equal: numbers, negations, quoted and code-like words. "Is 5 allowed?" and "Is 50 allowed?", "enable it" and "do not
enable it" are neighbours in every embedding, and have different answers.

What this cannot see: two names, two opposites ("raise", "lower"), two languages of a programmer. The threshold is high
by default for that reason, and the whole is off unless configured.
"""

from __future__ import annotations

import re
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from operator import mul
from typing import Protocol, TypeAlias
from zlib import crc32

from holdfast.gateway.core.cache_key import chat_key
from holdfast.gateway.core.conversation import Chat, Text

LONGEST_QUESTION = 4096
"""Characters: longer ones are rarely asked twice in other words, and cost more to compare."""
_DIMENSIONS = 512
_LITERALS = re.compile(
    r"\"[^\"\n]{1,200}\"|„[^“”\n]{1,200}[“”]|“[^”\n]{1,200}”|`[^`\n]{1,200}`|«[^»\n]{1,200}»"
    r"|\w*[0-9](?:[\w.,:/%-]*[\w%])?|\w+(?:[_.@/]\w+)+|\b[A-Z][A-Z0-9]+\b"
)
_NEGATIONS = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|without|cannot|neither|nor|except|unless|\w{2,8}n['’]t"
    r"|nicht|kein\w{0,2}|nie|niemals|niemand|nichts|ohne|außer"
    r"|ne|pas|jamais|sans|sin|nunca|ningun\w?|non|senza|mai|não|sem)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")

Vector: TypeAlias = "array[float]"


class Embedder(Protocol):
    """Makes vectors of texts; near ones for texts that mean the same."""

    async def embed(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """One vector for each text, all of one length. May fail: then nothing is looked up."""


class HashedNgrams:
    """Words, pairs of words and letter triples, hashed into 512 numbers.

    Finds the same words in another order or form, not other words. Needs no network.
    """

    async def embed(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """See :class:`Embedder`."""
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> Vector:
        """The vector of one text, of length 1 (or 0 for a text without words)."""
        values = array("d", bytes(8 * _DIMENSIONS))
        words = _WORD.findall(text.casefold())
        for first, second in zip(words, [*words[1:], ""], strict=True):
            _add(values, first, 1.0)
            _add(values, f"{first} {second}", 0.5)
            framed = f"^{first}$"
            for place in range(len(framed) - 2):
                _add(values, framed[place : place + 3], 0.3)
        return unit(values)


class CalledEmbedder:
    """Asks whoever is given: an embedding model of this gateway."""

    def __init__(self, call: Callable[[Sequence[str]], Awaitable[list[Sequence[float]]]]) -> None:
        self._call = call

    async def embed(self, texts: Sequence[str]) -> list[Sequence[float]]:
        """See :class:`Embedder`."""
        vectors = await self._call(texts)
        if len(vectors) != len(texts):
            raise ValueError(f"{len(texts)} texts were to be embedded, {len(vectors)} vectors came back")
        return vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The last question of a request, and where an answer to it may be looked for."""

    text: str
    scope: bytes
    """Of everything that has to be equal."""


def question(chat: Chat, *, tenant: str, route: str) -> Question | None:
    """What is asked; ``None`` when it is no question in words alone."""
    if not chat.messages or chat.messages[-1].role != "user":
        return None
    last = chat.messages[-1]
    if len(last.parts) != 1 or not isinstance(last.parts[0], Text) or len(last.parts[0].text) > LONGEST_QUESTION:
        return None
    text = last.parts[0].text
    rest = replace(last, parts=(Text(text="\0".join(must_equal(text))),))
    scope = chat_key(replace(chat, messages=(*chat.messages[:-1], rest)), tenant=tenant, route=route)
    return Question(text=text, scope=scope)


def must_equal(text: str) -> list[str]:
    """What of a question has to be the same to the letter: literals in their order, and how often it says no."""
    return [*_LITERALS.findall(text), f"-{len(_NEGATIONS.findall(text))}"]


def unit(values: Sequence[float]) -> Vector:
    """The vector with length 1."""
    length = sqrt(sum(map(mul, values, values)))
    return array("d", [value / length for value in values] if length > 0 else values)


class SimilarQuestions:
    """Which question was answered under which key. Searched one by one, within one scope: that is few.

    Args:
        threshold: Cosine from which two questions are one.
        scopes: At most; the least recently used goes first.
        per_scope: Questions at most; the oldest goes first.
    """

    def __init__(self, *, threshold: float, scopes: int = 4096, per_scope: int = 32) -> None:
        self._threshold = threshold
        self._scopes = scopes
        self._per_scope = per_scope
        self._known: OrderedDict[bytes, OrderedDict[bytes, Vector]] = OrderedDict()

    def find(self, asked: Question, vector: Sequence[float]) -> bytes | None:
        """The key of the nearest question that is near enough."""
        known = self._known.get(asked.scope)
        if known is None:
            return None
        self._known.move_to_end(asked.scope)
        wanted, best, nearest = unit(vector), self._threshold, None
        for key, other in known.items():
            if len(other) == len(wanted) and (cosine := sum(map(mul, wanted, other))) >= best:
                best, nearest = cosine, key
        return nearest

    def add(self, asked: Question, vector: Sequence[float], key: bytes) -> None:
        """Remember that this question is answered under this key."""
        known = self._known.setdefault(asked.scope, OrderedDict())
        self._known.move_to_end(asked.scope)
        known[key] = unit(vector)
        while len(known) > self._per_scope:
            known.popitem(last=False)
        while len(self._known) > self._scopes:
            self._known.popitem(last=False)


def _add(values: Vector, feature: str, weight: float) -> None:
    # One bit of the hash is the sign: what collides by chance cancels out on average (feature hashing,
    # Weinberger et al. 2009).
    number = crc32(feature.encode("utf-8", "surrogatepass"))
    values[number % _DIMENSIONS] += weight if number & 0x8000_0000 else -weight
