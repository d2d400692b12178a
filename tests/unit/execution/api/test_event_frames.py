from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from holdfast.execution.core.ports import Event
from holdfast.execution.shell.api.events import Frames


def events(pieces: list[tuple[str, bytes]]) -> list[Event]:
    made = [Event(seq=1, kind="started", at=0.0, data=b"{}")]
    for stream, data in pieces:
        made.append(Event(seq=made[-1].seq + 1, kind=stream, at=0.0, data=data))  # type: ignore[arg-type]
    return [*made, Event(seq=made[-1].seq + 1, kind="finished", at=0.0, data=b"{}")]


def shown(frames: list[bytes], stream: str) -> str:
    text = ""
    for frame in frames:
        lines = frame.decode().split("\n")
        if f"event: {stream}" in lines:
            text += json.loads(next(line for line in lines if line.startswith("data: "))[6:])["text"]
    return text


PIECES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=6)), max_size=12)


@given(PIECES)
def test_both_streams_read_as_if_each_had_come_in_one_piece(pieces: list[tuple[str, bytes]]) -> None:
    frames = list(Frames("text", after=0).of(events(pieces)))
    for stream in ("stdout", "stderr"):
        whole = b"".join(data for name, data in pieces if name == stream)
        assert shown(frames, stream) == whole.decode("utf-8", "replace")


@given(PIECES, st.data())
def test_a_stream_taken_up_after_any_event_shows_the_rest_and_nothing_twice(
    pieces: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    log = events(pieces)
    whole = list(Frames("text", after=0).of(log))
    numbered = [frame for frame in whole if frame.startswith(b"id: ")]
    last = data.draw(st.sampled_from(numbered))
    after = int(last.split(b"\n")[0][4:])
    rest = list(Frames("text", after=after).of(log))
    assert whole[whole.index(last) + 1 :] == rest


def test_a_frame_is_one_line_of_data_whatever_the_output_has() -> None:
    (_, frame, _) = Frames("text", after=0).of(events([("stdout", b"a\nid: 7\r\n\nevent: finished\n\n")]))
    assert frame.count(b"\n") == 4
    assert frame.startswith(b"id: 2\nevent: stdout\ndata: {")
