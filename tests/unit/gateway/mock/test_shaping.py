"""What happens to frames on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.shell.mock.openai import OpenAIChat
from holdfast.gateway.shell.mock.orders import build, parse
from holdfast.gateway.shell.mock.shaping import CUT, PAUSE, RESET, STALL, shape

if TYPE_CHECKING:
    from holdfast.gateway.shell.mock.answers import Frame

FRAMES: list[Frame] = [
    (b"data: {}\n\n", 0),
    (b'data: {"a":1}\n\n', 1),
    (b'data: {"b":2}\n\n', 1),
    (b"data: [DONE]\n\n", 0),
]
BODY = b"".join(data for data, _ in FRAMES)


def shaped(text: str, *, whole: bool = False) -> list[Frame]:
    return list(shape(iter(FRAMES), build(parse(text)), None if whole else OpenAIChat()))


@pytest.mark.parametrize("text", ["merged=2", "merged=100", "split", "chunk=3", "one_byte", "merged=3,split,chunk=2"])
def test_bytes_and_tokens_stay_the_same_however_they_are_cut_up(text: str) -> None:
    found = shaped(text)
    assert b"".join(data for data, _ in found) == BODY
    assert sum(count for _, count in found if count > 0) == 2


def test_merged_frames_come_together_and_split_ones_apart() -> None:
    assert [count for _, count in shaped("merged=2")] == [1, 1]
    assert [count for data, count in shaped("split") if not data] == [PAUSE] * 2 * len(FRAMES)
    assert all(len(data) == 1 for data, _ in shaped("one_byte"))


@given(st.integers(min_value=0, max_value=len(BODY) - 1), st.sampled_from(["cut", "reset"]), st.booleans())
def test_a_cut_is_at_its_byte_exactly(at: int, how: str, whole: bool) -> None:
    found = shaped(f"{how}={at}", whole=whole)
    assert b"".join(data for data, _ in found) == BODY[:at]
    assert found[-1] == (b"", CUT if how == "cut" else RESET)


def test_tokens_of_a_frame_that_was_cut_are_not_counted() -> None:
    end = len(FRAMES[0][0]) + len(FRAMES[1][0])
    assert sum(count for _, count in shaped(f"cut={end - 1}") if count > 0) == 0
    assert sum(count for _, count in shaped(f"cut={end}") if count > 0) == 1


def test_a_stall_is_after_its_frame() -> None:
    assert shaped("stall=2") == [*FRAMES[:2], (b"", STALL)]


def test_an_error_ends_the_stream_after_its_frame() -> None:
    found = shaped("error_after=1")
    assert found[0] == FRAMES[0]
    assert b'"error"' in found[1][0]
    assert len(found) == 2


def test_a_malformed_frame_keeps_its_end() -> None:
    found = shaped("malformed")
    assert found[2] == (b"data: {\n\n", 0)
    assert [*found[:2], found[3]] == [*FRAMES[:2], FRAMES[3]]


def test_lines_may_end_in_crlf_and_events_begin_with_comments() -> None:
    assert shaped("crlf")[0][0] == b"data: {}\r\n\r\n"
    assert shaped("comments")[0][0] == b": keep-alive\n\ndata: {}\n\n"
    assert next(shape(iter([(b"data: {}\r\n\r\n", 0)]), build(parse("crlf")), OpenAIChat()))[0] == b"data: {}\r\n\r\n"


def test_a_whole_answer_has_no_events_to_spoil() -> None:
    assert shaped("crlf,comments,malformed,error_after=1", whole=True) == FRAMES


@pytest.mark.parametrize("how", ["merged=2", "split", "chunk=4", "cut=10000"])
def test_a_stall_keeps_its_place_however_frames_are_cut_up(how: str) -> None:
    found = shaped(f"stall=3,{how}")
    assert b"".join(data for data, _ in found) == b"".join(data for data, _ in FRAMES[:3])
    assert (b"", STALL) in found
    assert all(count < 0 for data, count in found if not data)


def test_a_body_that_ends_before_its_cut_is_cut_at_its_end() -> None:
    assert shaped("cut=10000")[-1] == (b"", CUT)
