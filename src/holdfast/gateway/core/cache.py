"""Answers that are given again: kept in memory, bounded, each tenant for itself.

What is kept is what the provider said, before guardrails put redacted values back (see :mod:`.cache_key`); whoever gets
it again gets it through guardrails of their own.

When room is needed, the oldest answer of the tenant that takes the most room goes: nobody can push out what others
keep beyond an equal share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from holdfast.gateway.core.cache_key import may_keep
from holdfast.gateway.core.conversation import (
    Answer,
    BlockEnded,
    BlockKind,
    BlockStarted,
    Broken,
    Choice,
    Delta,
    Ended,
    Event,
    Finished,
    Opaque,
    Part,
    Refusal,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from holdfast.gateway.core.usage import Usage

OVERHEAD_BYTES = 512
"""Counted for each answer besides its text: objects and keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer in memory."""

    answer: Answer
    size_bytes: int
    stored: float
    expires: float


class AnswerCache:
    """Answers by key, least recently used first to go.

    Args:
        entries: At most, all tenants together.
        size_bytes: At most, all tenants together; estimated from the answer as JSON.
        ttl_s: How long an answer is good.
    """

    def __init__(self, *, entries: int, size_bytes: int, ttl_s: float) -> None:
        self._entries = entries
        self._size_bytes = size_bytes
        self._ttl_s = ttl_s
        self._tenants: dict[str, OrderedDict[bytes, Kept]] = {}
        self._sizes: dict[str, int] = {}
        self._count = 0
        self.size_bytes = 0
        self.evicted = 0
        """For want of room, since the start."""

    def __len__(self) -> int:
        return self._count

    def get(self, tenant: str, key: bytes, *, now: float) -> Kept | None:
        """An answer that is still good."""
        answers = self._tenants.get(tenant)
        kept = None if answers is None else answers.get(key)
        if answers is None or kept is None:
            return None
        if now >= kept.expires:
            self._remove(tenant, key)
            return None
        answers.move_to_end(key)
        return kept

    def put(self, tenant: str, key: bytes, answer: Answer, *, now: float, ttl_s: float | None = None) -> bool:
        """Keep an answer; whether it was kept.

        Not kept: what is cut, filtered or empty, or larger than an eighth of all room.
        """
        if not may_keep(answer):
            return False
        size = len(msgspec.json.encode(answer)) + OVERHEAD_BYTES
        ttl_s = self._ttl_s if ttl_s is None else min(ttl_s, self._ttl_s)
        if size > self._size_bytes // 8 or ttl_s <= 0 or self._entries < 1:
            return False
        self._remove(tenant, key)
        self._tenants.setdefault(tenant, OrderedDict())[key] = Kept(
            answer=answer, size_bytes=size, stored=now, expires=now + ttl_s
        )
        self._sizes[tenant] = self._sizes.get(tenant, 0) + size
        self.size_bytes += size
        self._count += 1
        while self.size_bytes > self._size_bytes or self._count > self._entries:
            self._evict()
        return True

    def forget(self, tenant: str) -> int:
        """Drop all that a tenant has; how many answers that were."""
        answers = self._tenants.pop(tenant, OrderedDict())
        self.size_bytes -= self._sizes.pop(tenant, 0)
        self._count -= len(answers)
        return len(answers)

    def _evict(self) -> None:
        tenant = max(self._sizes, key=self._sizes.__getitem__)
        self._remove(tenant, next(iter(self._tenants[tenant])))
        self.evicted += 1

    def _remove(self, tenant: str, key: bytes) -> None:
        answers = self._tenants.get(tenant)
        kept = None if answers is None else answers.pop(key, None)
        if answers is None or kept is None:
            return
        self.size_bytes -= kept.size_bytes
        self._count -= 1
        self._sizes[tenant] -= kept.size_bytes
        if not answers:
            del self._tenants[tenant], self._sizes[tenant]


# ------------------------------------------------------------ an answer as a stream, and a stream as an answer


def replay(answer: Answer) -> list[Event]:
    """An answer as the events of a stream: one delta for each block."""
    events: list[Event] = [Started(id=answer.id, model=answer.model, created=answer.created)]
    for choice in answer.choices:
        for index, part in enumerate(choice.parts):
            events += _block(choice, index, part)
        events.append(Finished(finish=choice.finish, choice=choice.index, stop_sequence=choice.stop_sequence))
    if answer.usage is not None:
        events.append(UsageSeen(usage=answer.usage))
    events.append(Ended())
    return events


def _block(choice: Choice, index: int, part: Part) -> list[Event]:
    number = choice.index
    match part:
        case Text():
            kind, text = "text", part.text
        case Refusal():
            kind, text = "refusal", part.text
        case ToolCall():
            started = BlockStarted(
                index=index, kind="tool_call", choice=number, id=part.id, name=part.name, raw=part.raw
            )
            return [
                started,
                Delta(index=index, text=part.arguments, choice=number),
                BlockEnded(index=index, choice=number),
            ]
        case Thinking():
            events: list[Event] = [
                BlockStarted(index=index, kind="thinking", choice=number, protocol=part.protocol, raw=part.raw)
            ]
            if part.text:
                events.append(Delta(index=index, text=part.text, choice=number))
            if part.signature is not None:
                events.append(Signed(index=index, signature=part.signature, choice=number))
            return [*events, BlockEnded(index=index, choice=number)]
        case Opaque():
            opened = BlockStarted(index=index, kind="opaque", choice=number, protocol=part.protocol, raw=part.raw)
            return [opened, BlockEnded(index=index, choice=number)]
        case _:
            raise ValueError(f"{type(part).__name__} is no part of an answer")
    block_kind: BlockKind = "text" if kind == "text" else "refusal"
    logprobs = choice.logprobs if index == 0 else None
    return [
        BlockStarted(index=index, kind=block_kind, choice=number),
        Delta(index=index, text=text, choice=number, logprobs=logprobs),
        BlockEnded(index=index, choice=number),
    ]


class Collector:
    """Makes a whole answer of the events of a stream."""

    def __init__(self) -> None:
        self._started: Started | None = None
        self._blocks: dict[tuple[int, int], BlockStarted] = {}
        self._texts: dict[tuple[int, int], list[str]] = {}
        self._signatures: dict[tuple[int, int], str] = {}
        self._finished: dict[int, Finished] = {}
        self._usage: Usage | None = None
        self._ended = False
        self._plain = True
        """Whether everything can be said again: log probabilities of pieces and late raw blocks cannot."""

    def feed(self, events: Sequence[Event]) -> None:
        """More of the stream."""
        for event in events:
            match event:
                case Delta():
                    self._texts.setdefault((event.choice, event.index), []).append(event.text)
                    self._plain = self._plain and event.logprobs is None
                case BlockStarted():
                    self._blocks[event.choice, event.index] = event
                case BlockEnded():
                    self._plain = self._plain and event.raw is None
                case Signed():
                    key = event.choice, event.index
                    self._signatures[key] = self._signatures.get(key, "") + event.signature
                case Finished():
                    self._finished[event.choice] = event
                case Started():
                    self._started, self._usage = event, event.usage
                case UsageSeen():
                    self._usage = event.usage
                case Ended():
                    self._ended = True
                case Broken():
                    self._plain = False

    def answer(self) -> Answer | None:
        """The answer; ``None`` when the stream was not whole, or cannot be said again as it was."""
        if self._started is None or not self._ended or not self._plain or not self._finished:
            return None
        choices = tuple(
            Choice(
                index=number,
                parts=tuple(self._part(key) for key in sorted(self._blocks) if key[0] == number),
                finish=end.finish,
                stop_sequence=end.stop_sequence,
            )
            for number, end in sorted(self._finished.items())
        )
        started = self._started
        return Answer(id=started.id, model=started.model, created=started.created, choices=choices, usage=self._usage)

    def _part(self, key: tuple[int, int]) -> Part:
        block, text = self._blocks[key], "".join(self._texts.get(key, ()))
        match block.kind:
            case "text":
                return Text(text=text)
            case "refusal":
                return Refusal(text=text)
            case "tool_call":
                return ToolCall(id=block.id, name=block.name, arguments=text, raw=block.raw)
            case "thinking":
                protocol = block.protocol or "openai"
                return Thinking(text=text, signature=self._signatures.get(key), protocol=protocol, raw=block.raw)
            case "opaque":
                return Opaque(protocol=block.protocol or "openai", raw=block.raw or {})
