"""One answer, judged while it is written.

Each block of each choice is a channel. What comes in waits while it may be the beginning of something
(:mod:`.detector`); the rest goes on at once. How the provider cut its answer into deltas changes neither what the
client reads nor what is found: a whole answer is judged by the same code, as one delta.

What of an answer is judged: text, refusals, the arguments of tool calls, thinking. Thinking that had to be changed
loses its signature, because that signs what was there before; and placeholders stay in it, because the provider wants
it back as it was. Blocks that only one protocol has are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockKind,
    BlockStarted,
    Broken,
    Choice,
    Delta,
    Ended,
    Event,
    Finished,
    Part,
    Refusal,
    Signed,
    Text,
    Thinking,
    ToolCall,
)
from holdfast.gateway.core.guard.detector import CONTEXT, Span
from holdfast.gateway.core.guard.judging import Judge, label, rewrite
from holdfast.gateway.core.guard.scanner import Scan, Scanner, unescaped
from holdfast.gateway.core.guard.vault import JSON_PLACEHOLDERS, PLACEHOLDERS, Vault
from holdfast.gateway.core.ports import Finding
from holdfast.gateway.errors import Refused

_WHERE: dict[BlockKind, str] = {
    "text": "answer",
    "refusal": "answer.refusal",
    "tool_call": "answer.arguments",
    "thinking": "answer.thinking",
}


_BY_ITSELF = frozenset({"stop", "stop_sequence"})


class Channel:
    """One text that is being written."""

    __slots__ = ("_also", "_held", "_json", "_judge", "_scanner", "_tail", "_vault", "_where", "changed", "kind")

    def __init__(self, kind: BlockKind, scanner: Scanner, judge: Judge, vault: Vault) -> None:
        self.kind = kind
        self.changed = False
        """Whether what went on is not what came in."""
        self._scanner = scanner
        self._judge = judge
        self._vault = vault if vault and kind != "thinking" else None
        self._json = kind == "tool_call"
        self._also = None if self._vault is None else JSON_PLACEHOLDERS if self._json else PLACEHOLDERS
        self._where = _WHERE[kind]
        self._held = ""
        self._tail = ""

    def feed(self, text: str) -> str:
        """More came; what may go on. Raises :class:`Refused`."""
        before = len(self._tail)
        text = f"{self._tail}{self._held}{text}"
        safe = self._scanner.quiet(text, before)
        if safe is not None:
            self._held = text[safe:]
            if safe == before:
                return ""
            self._tail = text[max(0, safe - CONTEXT) : safe]
            return text[before:safe]
        scan = self._scanner.piece(text, before, json=self._json, also=self._also, failed=self._fail)
        self._held = text[scan.safe :]
        if scan.safe == before:
            return ""
        done = text[before : scan.safe]
        self._tail = (self._tail + (unescaped(done) if self._json else done))[-CONTEXT:]
        return self._release(text, before, scan)

    def end(self) -> str:
        """Nothing more comes; what was still held back. Raises :class:`Refused`."""
        if not self._held:
            return ""
        before = len(self._tail)
        text = self._tail + self._held
        self._held = ""
        scan = self._scanner.rest(text, before, json=self._json, also=self._also, failed=self._fail)
        return self._release(text, before, scan)

    def _release(self, text: str, before: int, scan: Scan) -> str:
        if not scan.spans and not scan.also:
            return text[before : scan.safe]
        spans = self._judge.note(scan.spans, self._where)
        for placeholder in scan.also:
            if all(span.end <= placeholder.start or placeholder.end <= span.start for span in spans):
                spans.append(Span(placeholder.start, placeholder.end, f"<{placeholder.rule}"))
        spans.sort()
        self.changed = self.changed or bool(spans)
        return rewrite(text[: scan.safe], spans, self._write)[before:]

    def _write(self, span: Span, found: str) -> str:
        if not span.rule.startswith("<"):
            return f"<{label(span.rule)}>"
        value = self._vault.value(span.rule[1:], as_json=self._json) if self._vault is not None else None
        return found if value is None else value

    def _fail(self) -> None:
        self._judge.failed(self._where)


class AnswerGuard:
    """Watches one stream. After a refusal it lets nothing pass.

    Args:
        scanner: What is looked for.
        judge: What follows from it; notes findings.
        vault: What was taken out of the request.
        max_bytes: Of text and arguments, all choices together; ``None``: any.
        check: Judges the whole text of a choice that ended by itself; raises :class:`Refused`.
    """

    def __init__(
        self,
        scanner: Scanner,
        judge: Judge,
        vault: Vault,
        *,
        max_bytes: int | None = None,
        check: Callable[[str], None] | None = None,
    ) -> None:
        self.findings: list[Finding] = judge.findings
        self._scanner = scanner
        self._judge = judge
        self._vault = vault
        self._left = max_bytes
        self._check = check
        self._channels: dict[tuple[int, int], Channel] = {}
        self._texts: dict[int, list[str]] = {}
        self._refused: Refused | None = None
        self.is_idle: bool = not scanner and not vault and max_bytes is None and check is None
        """Whether there is nothing to do: what comes in goes on."""

    def feed(self, events: Sequence[Event]) -> list[Event]:
        """What may go on to the client. Raises :class:`Refused` (``blocked``)."""
        if self.is_idle:
            return list(events)
        if self._refused is not None:
            raise self._refused
        out: list[Event] = []
        try:
            for event in events:
                if type(event) is Delta:
                    self._delta(event, out)
                else:
                    self._other(event, out)
        except Refused as refused:
            self._refused = refused
            raise
        return out

    def end(self) -> list[Event]:
        """What was still held back: the stream is over, whether it said so or not."""
        out: list[Event] = []
        if self._refused is None:
            try:
                self._flush(out)
            except Refused as refused:
                self._refused = refused
                raise
        return out

    def whole(self, choice: Choice) -> Choice:
        """One choice of a whole answer. Raises :class:`Refused` (``blocked``)."""
        parts = tuple(self._part(part) for part in choice.parts)
        if self._check is not None and choice.finish in _BY_ITSELF:
            self._check("".join(part.text for part in parts if isinstance(part, Text)))
        if parts == choice.parts:
            return choice
        # Log probabilities spell out tokens; where some are no longer the provider's, all go.
        return replace(choice, parts=parts, logprobs=None)

    def _part(self, part: Part) -> Part:
        match part:
            case Text():
                text = self._passed("text", part.text)[0]
                return part if text == part.text else replace(part, text=text)
            case Refusal():
                return replace(part, text=self._passed("refusal", part.text)[0])
            case ToolCall():
                return replace(part, arguments=self._passed("tool_call", part.arguments)[0])
            case Thinking():
                text, changed = self._passed("thinking", part.text)
                return replace(part, text=text, signature=None, raw=None) if changed else part
            case _:
                return part

    def _passed(self, kind: BlockKind, text: str) -> tuple[str, bool]:
        channel = Channel(kind, self._scanner, self._judge, self._vault)
        self._count(text)
        return channel.feed(text) + channel.end(), channel.changed

    def _count(self, text: str) -> None:
        if self._left is not None:
            self._left -= len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
            if self._left < 0:
                raise self._judge.block("max_output", "answer", "It is longer than the policy allows.")

    def _delta(self, event: Delta, out: list[Event]) -> None:
        channel = self._channels.get((event.choice, event.index))
        if channel is None:
            channel = self._open(event.choice, event.index, "text")
        self._count(event.text)
        text = channel.feed(event.text)
        if text == event.text:
            out.append(event)
            self._keep(event.choice, channel, text)
        elif text:
            self._say(event.choice, event.index, channel, text, out)

    def _other(self, event: Event, out: list[Event]) -> None:
        match event:
            case BlockStarted():
                if event.kind != "opaque":
                    self._open(event.choice, event.index, event.kind)
            case BlockEnded():
                self._flush(out, event.choice, event.index)
            case Signed():
                channel = self._channels.get((event.choice, event.index))
                if channel is not None:
                    text = channel.end()
                    if text:
                        self._say(event.choice, event.index, channel, text, out)
                    if channel.changed:
                        return
            case Finished():
                self._flush(out, event.choice)
                if self._check is not None and event.finish in _BY_ITSELF:
                    self._check("".join(self._texts.pop(event.choice, ())))
            case Ended() | Broken():
                self._flush(out)
            case _:
                pass
        out.append(event)

    def _open(self, choice: int, index: int, kind: BlockKind) -> Channel:
        channel = self._channels[choice, index] = Channel(kind, self._scanner, self._judge, self._vault)
        return channel

    def _flush(self, out: list[Event], choice: int | None = None, index: int | None = None) -> None:
        """End the channels of one block, of one choice, or all."""
        for key in list(self._channels):
            if choice in {None, key[0]} and index in {None, key[1]}:
                channel = self._channels.pop(key)
                text = channel.end()
                if text:
                    self._say(*key, channel, text, out)

    def _say(self, choice: int, index: int, channel: Channel, text: str, out: list[Event]) -> None:
        # Without log probabilities: they spell out tokens, and these are no longer the provider's.
        out.append(Delta(index=index, text=text, choice=choice))
        self._keep(choice, channel, text)

    def _keep(self, choice: int, channel: Channel, text: str) -> None:
        if self._check is not None and channel.kind == "text":
            self._texts.setdefault(choice, []).append(text)
