"""Whether what a client got of a stream is one that its library can read, and whether any of it came twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

Ending = Literal["whole", "error", "none"]
_EVENTS: Final = {
    "message_start": "message",
    "content_block_start": "content_block",
    "content_block_delta": "delta",
    "content_block_stop": "index",
    "message_delta": "delta",
    "message_stop": "type",
    "ping": "type",
    "error": "error",
}
"""Anthropic's events, and a member that each must have."""
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A stream as its client understood it."""

    text: str
    malformed: int
    """Frames that are no event, or none of this protocol; frames after the end."""
    ending: Ending

    def repeats(self, whole: str) -> bool:
        """Whether the words are anything but a beginning of the whole answer: twice, or out of order."""
        return not whole.startswith(self.text)


def hear_openai(body: bytes) -> Heard:
    """A stream of chat completions. It ends in ``[DONE]``, an error in its last event."""
    text: list[str] = []
    malformed, done, failed = 0, False, False
    events, rest = _events(body)
    malformed += rest
    for data in events:
        if done:
            malformed += 1
        elif data == b"[DONE]":
            done = True
        else:
            document = _read(data)
            if "error" in document:
                failed = True
            elif failed or not isinstance(document.get("choices"), list):
                malformed += 1
            else:
                text += [choice.get("delta", {}).get("content") or "" for choice in document["choices"]]
    ending: Ending = "none" if not done else "error" if failed else "whole"
    return Heard(text="".join(text), malformed=malformed, ending=ending)


def hear_anthropic(body: bytes) -> Heard:
    """A stream of messages. It ends in ``message_stop``, or in an ``error`` event; blocks open and close in pairs."""
    text: list[str] = []
    block: int | None = None
    ended: Ending = "none"
    started = False
    events, malformed = _events(body)
    for data in events:
        document = _read(data)
        kind = document.get("type")
        if ended != "none" or kind not in _EVENTS or _EVENTS[kind] not in document:
            malformed += 1
        elif kind == "error":
            ended = "error"
        elif kind == "message_start":
            malformed += started
            started = True
        elif kind == "content_block_start":
            malformed += block is not None
            block = document["index"]
        elif kind == "content_block_delta":
            malformed += document.get("index") != block
            text.append(document["delta"].get("text") or "")
        elif kind == "content_block_stop":
            malformed += document["index"] != block
            block = None
        elif kind == "message_stop":
            malformed += block is not None or not started
            ended = "whole"
    return Heard(text="".join(text), malformed=malformed, ending=ended)


def _events(body: bytes) -> tuple[list[bytes], int]:
    """The data of each event, and how many pieces are none."""
    *frames, rest = body.split(b"\n\n")
    found, wrong = [], int(bool(rest.strip()))
    for frame in frames:
        lines = [line for line in frame.split(b"\n") if line and not line.startswith((b":", b"event: "))]
        if len(lines) == 1 and lines[0].startswith(b"data: "):
            found.append(lines[0].removeprefix(b"data: "))
        elif lines:
            wrong += 1
    return found, wrong


def _read(data: bytes) -> dict[str, Any]:
    try:
        document = _decode(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
