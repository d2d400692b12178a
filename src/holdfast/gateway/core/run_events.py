"""What happens in a run, one value for each thing, as it is stored. See :mod:`.runs` for what follows from what."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from holdfast.gateway.core.tools import ToolScope

State = Literal[
    "queued", "planning", "executing", "verifying", "succeeded", "failed", "cancelled", "exhausted", "interrupted"
]
EndState = Literal["succeeded", "failed", "cancelled", "exhausted", "interrupted"]
Purpose = Literal["plan", "execute", "verify"]
Verdict = Literal["passed", "failed", "unclear"]

TEXT_CHARACTERS: Final = 262_144
"""Of any text in an event."""


class Queued(msgspec.Struct, frozen=True, tag="queued", tag_field="event"):
    """The message was taken."""

    text: str


class ModelAsked(msgspec.Struct, frozen=True, tag="model_asked", tag_field="event"):
    """A step begins."""

    purpose: Purpose
    step: int


class Call(msgspec.Struct, frozen=True):
    """A tool that the model wants to be called."""

    id: str
    tool: str
    """As the model named it."""
    arguments: str


class ModelAnswered(msgspec.Struct, frozen=True, tag="model_answered", tag_field="event"):
    """A step is over."""

    purpose: Purpose
    text: str
    calls: tuple[Call, ...] = ()
    cost_nano: int | None = None
    """``None``: nobody knows."""


class ToolAsked(msgspec.Struct, frozen=True, tag="tool_asked", tag_field="event"):
    """A tool is about to be called."""

    call: str
    tool: str
    scope: ToolScope
    arguments: str


class ToolAnswered(msgspec.Struct, frozen=True, tag="tool_answered", tag_field="event"):
    """What came of it."""

    call: str
    tool: str
    text: str
    is_error: bool = False


class Checked(msgspec.Struct, frozen=True, tag="checked", tag_field="event"):
    """The answer was checked against its schema."""

    verdict: Verdict
    fault: str = ""


class Resumed(msgspec.Struct, frozen=True, tag="resumed", tag_field="event"):
    """Another process goes on; what was under way begins again."""

    why: str


class Ended(msgspec.Struct, frozen=True, tag="ended", tag_field="event"):
    """Nothing follows."""

    state: EndState
    reason: str = ""
    """A word for programs: ``steps``, ``budget``, ``timeout``, ``tool_unknown``, a refusal's reason."""
    message: str = ""


RunEvent: TypeAlias = Queued | ModelAsked | ModelAnswered | ToolAsked | ToolAnswered | Checked | Resumed | Ended


def storable(text: str) -> str:
    """A text as an event may have it: bounded, and without what UTF-8 cannot say."""
    if len(text) > TEXT_CHARACTERS:
        text = f"{text[:TEXT_CHARACTERS]}\n[cut here: {len(text) - TEXT_CHARACTERS} more characters]"
    return text.encode("utf-8", "replace").decode("utf-8")
