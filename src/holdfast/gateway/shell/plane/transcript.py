"""What a client was told of a streamed answer, so that another deployment can go on where one was cut."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockStarted,
    Delta,
    Event,
    Finished,
    Message,
    Started,
    Text,
    UsageSeen,
)
from holdfast.gateway.core.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.gateway.core.conversation import Chat

_GO_ON: Final = (
    "Your answer was interrupted. Continue it exactly where it stops, with the next character. "
    "Do not repeat, introduce or comment on anything."
)
_LONGEST: Final = 256 * 1024


class Transcript:
    """Collects what was said. Only text can be continued: half a tool call cannot be taken back."""

    __slots__ = ("_open", "_resumed", "_spent", "_text", "_usable", "continued")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._open: int | None = None
        """Index of the text block that is open."""
        self._usable = True
        self._resumed = False
        self._spent = Usage()
        """Of the attempts that were cut."""
        self.continued: list[str] = []
        """Deployments that went on."""

    def heard(self, events: Sequence[Event]) -> None:
        """The client was told these."""
        for event in events:
            if isinstance(event, BlockStarted):
                self._open = event.index
                self._usable = self._usable and event.kind == "text" and event.choice == 0
            elif isinstance(event, Delta):
                self._text.append(event.text)
            elif isinstance(event, BlockEnded):
                self._open = None
            elif isinstance(event, Finished):
                self._usable = False

    @property
    def can_go_on(self) -> bool:
        """Whether there is a text that somebody else could continue."""
        return self._usable and self._open is not None and 0 < sum(map(len, self._text)) < _LONGEST

    def rest_of(self, chat: Chat) -> Chat:
        """The request for the rest of the answer."""
        said = Message(role="assistant", parts=(Text(text="".join(self._text)),))
        wish = Message(role="user", parts=(Text(text=_GO_ON),))
        return replace(chat, messages=(*chat.messages, said, wish))

    def resume(self, deployment: str, spent: Usage | None) -> None:
        """Another deployment goes on; what it says of its beginning is not told again."""
        self._resumed = True
        self.continued.append(deployment)
        if spent is not None:
            self._spent = self._spent + spent

    def told(self, events: Sequence[Event]) -> list[Event]:
        """The events of a continuation as those of the one answer that the client reads."""
        if not self._resumed:
            return list(events)
        kept: list[Event] = []
        index = self._open or 0
        for event in events:
            if isinstance(event, Started):
                continue
            if isinstance(event, BlockStarted):
                if event.kind == "text":
                    continue
                kept.append(event)
            elif isinstance(event, (Delta, BlockEnded)):
                kept.append(replace(event, index=index))
            elif isinstance(event, UsageSeen):
                kept.append(UsageSeen(usage=event.usage + self._spent))
            else:
                kept.append(event)
        return kept
