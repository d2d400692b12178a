"""Links in messages: only ours, only for a time, only for what they were made for."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.netpulse.shell.api.links import LASTS_S, Acknowledgement, Expired, Links, open_links

KEY = bytes(range(32))


def links(now: float = 1_000.0, *, key: bytes = KEY, url: str = "https://pulse.example.com/") -> Links:
    return Links(key, lambda: url, clock=lambda: now)


class Documents:
    """Of the records."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    async def document(self, kind: str, key: str) -> bytes | None:
        return self.kept.get((kind, key))

    async def put_document(self, kind: str, key: str, data: bytes | None) -> None:
        self.kept.setdefault((kind, key), data or b"")


def test_a_link_allows_what_it_was_made_for() -> None:
    url = links().acknowledge("default", "inc_1", "pager")
    assert url.startswith("https://pulse.example.com/ack/")
    found = links().read(url.rpartition("/")[2])
    assert found == Acknowledgement("ack", "default", "inc_1", "pager", int(1_000 + LASTS_S))


def test_a_link_is_good_until_its_time_is_over() -> None:
    token = links(0.0).token("default", "inc_1", "pager")
    assert isinstance(links(LASTS_S - 1).read(token), Acknowledgement)
    assert isinstance(links(LASTS_S).read(token), Expired)


def test_a_link_of_another_key_is_none() -> None:
    assert links(key=bytes(32)).read(links().token("default", "inc_1", "pager")) is None


def test_without_an_address_that_people_reach_there_is_no_link() -> None:
    assert links(url="").acknowledge("default", "inc_1", "pager") == ""


@given(st.integers(0, 400), st.characters(min_codepoint=33, max_codepoint=126))
@settings(max_examples=100, deadline=None)
def test_a_link_that_was_changed_anywhere_is_none(place: int, character: str) -> None:
    token = links().token("default", "inc_1", "pager")
    place %= len(token)
    changed = token[:place] + character + token[place + 1 :]
    found = links().read(changed)
    # The last character of a part has bits that stand for nothing; what they say stays what was signed.
    assert found is None or found == links().read(token)


@given(st.text(max_size=600))
@settings(max_examples=100, deadline=None)
def test_whatever_is_sent_as_a_link_is_read_without_an_error(text: str) -> None:
    assert links().read(text) is None


def test_the_key_is_drawn_once_and_outlives_the_process() -> None:
    async def scenario() -> None:
        records = Documents()
        first = await open_links(records, lambda: "https://x.example.com", clock=lambda: 0.0)
        second = await open_links(records, lambda: "https://x.example.com", clock=lambda: 0.0)
        assert isinstance(second.read(first.token("default", "inc_1", "pager")), Acknowledgement)
        (key,) = records.kept.values()
        assert len(key) == 32

    asyncio.run(scenario())


@pytest.mark.parametrize("length", [10, 128])
def test_a_link_fits_into_a_text_message(length: int) -> None:
    assert len(links().acknowledge("default", "inc_" + "0" * 26, "p" * min(length, 64))) < 300
