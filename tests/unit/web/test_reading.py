from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.web.problems import ProblemError
from holdfast.web.reading import ClientGone, Memory, read_body

if TYPE_CHECKING:
    from litestar.types import Receive


def coming(*pieces: bytes, gone: bool = False) -> Receive:
    messages: list[Any] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if gone:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False
    given = iter(messages)

    async def receive() -> Any:
        return next(given)

    return receive


def read(receive: Receive, memory: Memory, *, length: int | None = None, limit: int = 100, tenant: str = "a") -> bytes:
    return asyncio.run(read_body(receive, length=length, limit=limit, memory=memory, tenant=tenant))


def held(memory: Memory) -> tuple[int, dict[str, int]]:
    return memory._total, dict(memory._of)


def test_a_body_in_pieces_is_put_together_and_held_until_it_is_given_back() -> None:
    memory = Memory()
    assert read(coming(b"ab", b"", b"cd"), memory) == b"abcd"
    assert held(memory) == (4, {"a": 4})
    memory.give("a", 4)
    assert held(memory) == (0, {})


@pytest.mark.parametrize("length", [None, 5])
def test_what_is_refused_holds_nothing(length: int | None) -> None:
    memory = Memory()
    with pytest.raises(ProblemError) as caught:
        read(coming(b"abc", b"de"), memory, length=length, limit=4)
    assert caught.value.kind.name == "payload-too-large"
    with pytest.raises(ClientGone):
        read(coming(b"abc", gone=True), memory)
    assert held(memory) == (0, {})


def test_one_tenant_cannot_take_the_room_of_others() -> None:
    memory = Memory(in_all=12, per_tenant=4)
    read(coming(b"abcd"), memory)
    for length in (1, None):
        with pytest.raises(ProblemError) as caught:
            read(coming(b"e"), memory, length=length)
        assert (caught.value.kind.name, caught.value.retry_after_s) == ("overloaded", 1.0)
    assert read(coming(b"abcd"), memory, tenant="b") == b"abcd"
    read(coming(b"abcd"), memory, tenant="c")
    with pytest.raises(ProblemError):
        read(coming(b"e"), memory, tenant="d")
