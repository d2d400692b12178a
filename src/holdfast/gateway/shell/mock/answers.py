"""What the scripted provider says: a function of the request, its orders and the seed, and of nothing else.

A token is a word with the white space before it; of what is no text (tools, images) a token is four bytes of JSON.
So both sides of a test can count without a tokenizer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from zlib import crc32

import msgspec

from holdfast.gateway.errors import GatewayError
from holdfast.gateway.shell.mock.orders import Orders


class Unreadable(GatewayError):
    """A request that the provider answers with 400."""


Finish = Literal["stop", "length", "tool", "refusal"]
Frame = tuple[bytes, int]
"""Bytes of an answer's body, and the output tokens in them."""

_PIECES: Final = re.compile(r"\s*\S+|\s+$")
_CALL: Final = re.compile(r"\bcall\s+([A-Za-z0-9_.-]{1,128})\s*")
_LEXICON: Final = [
    "tide",
    "rock",
    "kelp",
    "storm",
    "anchor",
    "drift",
    "current",
    "shore",
    "swell",
    "ebb",
    "flow",
    "harbour",
    "beacon",
    "keel",
    "rope",
    "knot",
    "sail",
    "wind",
    "calm",
    "surge",
    "reef",
    "depth",
    "channel",
    "buoy",
    "mast",
    "hull",
    "wave",
    "salt",
    "foam",
    "gull",
]
_SCHEMA_DEPTH: Final = 16
_SCHEMA_ITEMS: Final = 64
_SCHEMA_LETTERS: Final = 4096
_ARGUMENT_BYTES: Final = 12
"""Of a tool call's arguments in one frame."""
_PSEUDO_WORDS: Final = 8
"""The shortest pseudo-text; the longest is twice that."""


@dataclass(slots=True, kw_only=True)
class Asked:
    """A request, whatever protocol it came in."""

    model: str
    """As the client named it, orders included: what is reported back."""
    stream: bool = False
    text: str = ""
    """Of the last user message."""
    tool_result: str | None = None
    """When the last message is one."""
    tools: Sequence[str] = ()
    forced: str | None = None
    """The tool that must be called; empty for any."""
    schema: Mapping[str, Any] | None = None
    json_object: bool = False
    choices: int = 1
    max_tokens: int | None = None
    prompt_tokens: int = 0
    include_usage: bool = False
    thinks: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Call:
    """A tool call that the model makes."""

    id: str
    name: str
    arguments: str

    @property
    def pieces(self) -> list[str]:
        """The arguments as they are streamed."""
        step = _ARGUMENT_BYTES
        return [self.arguments[at : at + step] for at in range(0, len(self.arguments), step)]

    @property
    def tokens(self) -> int:
        """One for the name, and one for each piece of the arguments."""
        return 1 + len(self.pieces)


@dataclass(slots=True, kw_only=True)
class Reported:
    """Usage as it is told, which may be a lie; ``None``: not at all."""

    prompt: int
    output: int
    cached: int
    cache_write: int
    reasoning: int


@dataclass(slots=True, kw_only=True)
class Turn:
    """One exchange: what was asked, what is said, and who counts it."""

    asked: Asked
    number: int
    created: int
    pieces: list[str]
    thoughts: list[str]
    calls: list[Call]
    finish: Finish
    usage: Reported | None
    cached: int = 0
    cache_write: int = 0
    endless: bool = False
    """The pieces come again and again."""

    @property
    def text(self) -> str:
        """What is said."""
        return "".join(self.pieces)

    @property
    def thought(self) -> str:
        """What is thought."""
        return "".join(self.thoughts)

    @property
    def tokens(self) -> int:
        """Output tokens of one choice."""
        return len(self.pieces) + len(self.thoughts) + sum(call.tokens for call in self.calls)

    @property
    def spoken(self) -> Iterator[str]:
        """The pieces of a stream."""
        yield from self.pieces
        while self.endless and self.pieces:
            yield from self.pieces


def tokens_of(text: str) -> int:
    """Words."""
    return len(text.split())


def weight_of(value: Any) -> int:
    """Tokens of what is no text."""
    return (len(msgspec.json.encode(value)) + 3) // 4 if value else 0


def compose(asked: Asked, orders: Orders, *, number: int, created: int, seed: int, most_tokens: int) -> Turn:
    """Decide what is said. ``most_tokens`` bounds it when the request does not."""
    calls = _calls(asked, orders, number)
    pieces = [] if calls else _PIECES.findall(_text(asked, orders, seed))
    thoughts = [f" thought{n}" if n else "thought0" for n in range(min(orders.thinking, most_tokens))]
    limit = most_tokens if asked.max_tokens is None else min(asked.max_tokens, most_tokens)
    finish: Finish = "tool" if calls else "stop"
    if orders.decline:
        finish, pieces, calls = "refusal", pieces[:1], []
    elif len(pieces) > limit:
        finish, pieces = "length", pieces[:limit]
    turn = Turn(
        asked=asked,
        number=number,
        created=created,
        pieces=pieces,
        thoughts=thoughts,
        calls=calls,
        finish=finish,
        usage=None,
        endless=orders.endless,
    )
    turn.cached = min(orders.cached, asked.prompt_tokens)
    turn.cache_write = min(orders.cache_write, asked.prompt_tokens - turn.cached)
    turn.usage = _report(turn, orders)
    return turn


def _report(turn: Turn, orders: Orders) -> Reported | None:
    match orders.usage:
        case "missing":
            return None
        case "negative":
            return Reported(prompt=-5, output=-7, cached=0, cache_write=0, reasoning=0)
        case "zero":
            return Reported(prompt=0, output=0, cached=0, cache_write=0, reasoning=0)
        case "absurd":
            return Reported(prompt=10**12, output=10**12, cached=0, cache_write=0, reasoning=0)
    return Reported(
        prompt=turn.asked.prompt_tokens,
        output=turn.tokens * turn.asked.choices,
        cached=turn.cached,
        cache_write=turn.cache_write,
        reasoning=len(turn.thoughts) * turn.asked.choices,
    )


def _text(asked: Asked, orders: Orders, seed: int) -> str:
    if orders.answer == "text":
        return orders.text
    if orders.answer == "echo":
        return f"Echo: {asked.text}"
    if orders.answer == "words":
        return _pseudo(asked.text, seed, orders.words)
    if asked.tool_result is not None:
        return asked.tool_result
    if asked.schema is not None:
        return json.dumps(_example(asked.schema))
    if asked.json_object or orders.answer == "json":
        return json.dumps({"answer": asked.text})
    return _pseudo(asked.text, seed, 0)


def _pseudo(text: str, seed: int, words: int) -> str:
    state = crc32(text.encode("utf-8", "surrogatepass"), seed & 0xFFFFFFFF)
    count = words or _PSEUDO_WORDS + state % _PSEUDO_WORDS
    start, stride = state % len(_LEXICON), 1 + 2 * (state >> 8 & 7)
    size = len(_LEXICON)
    return " ".join([_LEXICON[(start + stride * n) % size] for n in range(count)])


def _calls(asked: Asked, orders: Orders, number: int) -> list[Call]:
    """``call NAME {json}`` in the last user message, or the tool that the client insists on."""
    if not asked.tools or asked.tool_result is not None:
        return []
    wanted = [
        (match[1], _object_at(asked.text, match.end()))
        for match in _CALL.finditer(asked.text)
        if match[1] in asked.tools
    ]
    if not wanted and asked.forced is not None:
        name = asked.forced or asked.tools[0]
        wanted.append((name, json.dumps({"input": asked.text[:64]})))
    calls = [Call(id=f"call_{number}_{n}", name=name, arguments=given) for n, (name, given) in enumerate(wanted)]
    if orders.broken_arguments:
        for call in calls:
            call.arguments = call.arguments[:-1] + ',"broken'
    return calls


def _object_at(text: str, start: int) -> str:
    if text[start : start + 1] != "{":
        return "{}"
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return text[start:]  # what the caller wrote is what the tool gets, valid or not
    return text[start:end]


def _example(schema: Any) -> Any:
    try:
        return example(schema)
    except (AttributeError, TypeError, ValueError, LookupError) as error:
        raise Unreadable(f"the schema of the answer cannot be read: {error}") from error


def example(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """The plainest value that a JSON schema allows; keywords beyond the usual ones are not looked at."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _SCHEMA_DEPTH:
        return None
    if isinstance(reference := schema.get("$ref"), str):
        target = root
        for part in reference.lstrip("#/").split("/"):
            target = target.get(part) if isinstance(target, dict) else None
        return example(target, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return example(schema[key][0], root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    match str(kind).lower():  # Gemini writes them in capitals
        case "object":
            properties = schema.get("properties")
            if not isinstance(properties, dict):
                return {}
            return {name: example(part, root, depth + 1) for name, part in properties.items()}
        case "array":
            return [example(schema.get("items"), root, depth + 1)] * min(
                max(1, int(schema.get("minItems", 1))), _SCHEMA_ITEMS
            )
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
    return "x" * min(int(schema["minLength"]), _SCHEMA_LETTERS) if "minLength" in schema else "text"
