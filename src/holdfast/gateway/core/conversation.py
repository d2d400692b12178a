"""One way to say what every chat protocol says.

A request, a whole answer, and a stream of events, in the fullest sense that any of the supported protocols has. An
adapter (:mod:`.dialect`) reads its protocol into these values and writes it from them; what a protocol cannot say, its
adapter refuses by name or, where that changes nothing for the answer, leaves out and says so.

Rules:

- Text is passed on character by character; an unpaired surrogate is refused at the edge.
- Arguments of tool calls are JSON *text*, as the model wrote it, valid or not: nobody here repairs it.
- Thinking blocks and whatever else a provider has to get back unchanged travel in ``raw``, as that protocol's own
  object, and are given only to a provider of that protocol.
- Parameters that no adapter knows travel in ``Chat.extra`` to providers of the protocol they came in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from holdfast.gateway.core.usage import Usage

ProtocolName = Literal["openai", "responses", "completions", "anthropic", "gemini", "bedrock"]
"""``openai`` is chat completions; ``responses`` and ``completions`` are OpenAI's other two."""
Role = Literal["system", "developer", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "tool_calls", "stop_sequence", "content_filter", "refusal", "pause", "error"]
JsonObject: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Words."""

    text: str
    cache: JsonObject | None = None
    """Anthropic's ``cache_control``: what stands before it may be kept."""
    citations: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """An image, a document or a sound: by address, or as base64 text."""

    kind: Literal["image", "document", "audio"]
    url: str | None = None
    data: str | None = None
    """Base64, as it came."""
    media_type: str | None = None
    """``image/png`` and so on; of data always."""
    name: str | None = None
    detail: str | None = None
    """OpenAI's ``low``, ``high``, ``auto``."""
    file_id: str | None = None
    cache: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The model wants a tool to be called."""

    id: str
    name: str
    arguments: str
    """JSON text as the model wrote it; may be broken."""
    raw: JsonObject | None = None
    """What the provider has to get back with it (Gemini's thought signature)."""
    cache: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool answered."""

    call_id: str
    parts: tuple[Text | Media, ...]
    is_error: bool = False
    name: str | None = None
    """Of the tool, where the protocol tells or needs it (Gemini)."""
    cache: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """What the model thought. Given back unmodified, or not at all."""

    text: str = ""
    signature: str | None = None
    protocol: ProtocolName
    raw: JsonObject | None = None
    """The block as it came (redacted thinking, encrypted reasoning items)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The model's words for not answering (OpenAI)."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """A block of one protocol that no other has: its server-side tools and their results."""

    protocol: ProtocolName
    raw: JsonObject


Part: TypeAlias = Text | Media | ToolCall | ToolResult | Thinking | Refusal | Opaque


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Who said what. A ``tool`` message has :class:`ToolResult` parts only."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call; or, with ``raw``, a tool that the provider runs itself."""

    name: str
    description: str = ""
    schema: JsonObject = field(default_factory=dict)
    """JSON Schema of its arguments."""
    strict: bool | None = None
    raw: JsonObject | None = None
    protocol: ProtocolName | None = None
    """Of ``raw``."""
    cache: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """What the model has to do with tools."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None
    parallel: bool | None = None
    """``False``: at most one call a turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """The form that the answer has to have."""

    kind: Literal["text", "json", "schema"] = "text"
    name: str = "answer"
    schema: JsonObject | None = None
    strict: bool | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A request for an answer. ``None`` means: not said, the provider's default."""

    protocol: ProtocolName
    """That it came in."""
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    format: Format | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: str | None = None
    """``none``, ``minimal``, ``low``, ``medium``, ``high``, ``xhigh``."""
    reasoning_tokens: int | None = None
    """Budget for thinking (Anthropic, Gemini)."""
    user: str | None = None
    metadata: JsonObject | None = None
    stream: bool = False
    include_usage: bool = False
    """OpenAI's ``stream_options.include_usage``."""
    extra: JsonObject = field(default_factory=dict)
    """Parameters that are not among the above, as they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer of possibly several."""

    index: int = 0
    parts: tuple[Part, ...] = ()
    finish: Finish = "stop"
    stop_sequence: str | None = None
    logprobs: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer."""

    id: str
    model: str
    """As the provider names it."""
    created: int
    """Seconds since the epoch; 0 when the provider does not tell."""
    choices: tuple[Choice, ...]
    usage: Usage | None
    """``None``: the provider did not say."""
    extra: JsonObject = field(default_factory=dict)


# ------------------------------------------------------------ a stream of events
#
#   Started (BlockStarted (Delta)* BlockEnded)* Finished UsageSeen? Ended
#
# Blocks of one choice come one after the other, as all protocols but OpenAI's parallel tool calls have it; a decoder
# whose protocol interleaves them keeps the indexes apart, and an encoder whose protocol cannot interleave holds back
# the later ones. ``index`` counts blocks of a choice from 0.

BlockKind = Literal["text", "thinking", "tool_call", "refusal", "opaque"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The provider began to answer. Says nothing that is worth committing to."""

    id: str
    model: str
    created: int = 0
    usage: Usage | None = None
    """What is known by then (Anthropic: the input)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStarted:
    """A block begins."""

    index: int
    kind: BlockKind
    choice: int = 0
    id: str = ""
    """Of a tool call."""
    name: str = ""
    """Of a tool call."""
    protocol: ProtocolName | None = None
    """Of thinking and opaque blocks."""
    raw: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """More of a block: text, thinking, refusal, or the arguments of a tool call."""

    index: int
    text: str
    choice: int = 0
    logprobs: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The signature of a thinking block, or what else of it has to be given back."""

    index: int
    signature: str
    choice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnded:
    """A block is complete."""

    index: int
    choice: int = 0
    raw: JsonObject | None = None
    """Of an opaque or redacted block that is known only now; citations of a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A choice is complete."""

    finish: Finish
    choice: int = 0
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSeen:
    """Usage so far; the last one counts."""

    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The provider's stream ended as its protocol says that streams end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The provider said in its stream that it failed, or what it sent is not its protocol."""

    failure: str
    """A :data:`~holdfast.gateway.core.outcome.Failure`."""
    message: str


Event: TypeAlias = Started | BlockStarted | Delta | Signed | BlockEnded | Finished | UsageSeen | Ended | Broken
