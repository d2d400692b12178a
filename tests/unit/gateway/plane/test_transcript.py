"""What was told of an answer, and how another one goes on with it."""

from __future__ import annotations

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockStarted,
    Chat,
    Delta,
    Ended,
    Event,
    Finished,
    Message,
    Started,
    Text,
    UsageSeen,
)
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.shell.plane.transcript import Transcript

BEGAN: list[Event] = [Started(id="1", model="m"), BlockStarted(index=0, kind="text"), Delta(index=0, text="The sea ")]


def test_a_text_that_was_cut_is_continued_in_its_own_block() -> None:
    transcript = Transcript()
    transcript.heard(transcript.told(BEGAN))
    assert transcript.can_go_on
    transcript.resume("b/x", Usage(input_tokens=5, output_tokens=2))
    events: list[Event] = [
        Started(id="2", model="n"),
        BlockStarted(index=0, kind="text"),
        Delta(index=0, text="is deep"),
        BlockEnded(index=0),
        Finished(finish="stop"),
        UsageSeen(usage=Usage(input_tokens=9, output_tokens=2)),
        Ended(),
    ]
    assert transcript.told(events) == [
        Delta(index=0, text="is deep"),
        BlockEnded(index=0),
        Finished(finish="stop"),
        UsageSeen(usage=Usage(input_tokens=14, output_tokens=4)),
        Ended(),
    ]


def test_who_goes_on_is_told_what_was_said() -> None:
    transcript = Transcript()
    transcript.heard(BEGAN)
    chat = Chat(protocol="openai", model="m", messages=(Message(role="user", parts=(Text(text="Tell"),)),))
    rest = transcript.rest_of(chat)
    assert [message.role for message in rest.messages] == ["user", "assistant", "user"]
    assert rest.messages[1].parts == (Text(text="The sea "),)


def test_half_a_tool_call_cannot_be_continued() -> None:
    transcript = Transcript()
    transcript.heard([BlockStarted(index=0, kind="tool_call", id="c", name="f"), Delta(index=0, text='{"a')])
    assert not transcript.can_go_on


def test_what_is_finished_or_never_began_is_not_continued() -> None:
    assert not Transcript().can_go_on
    transcript = Transcript()
    transcript.heard([*BEGAN, BlockEnded(index=0), Finished(finish="stop")])
    assert not transcript.can_go_on
