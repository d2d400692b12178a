"""Large answers and clients that do not read them."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.web.reading import Memory
from holdfast.web.sending import PIECE, Sending

LARGE = bytes(range(256)) * 1024
START = {"type": "http.response.start", "status": 200, "headers": []}


def whole(body: bytes, *, more: bool = False) -> Any:
    return {"type": "http.response.body", "body": body, "more_body": more}


class Client:
    """Takes one message after the other, while it ``reads``."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.sent: list[Any] = []

    async def __call__(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


async def answer(client: Client, memory: Memory, tenant: str, body: bytes) -> None:
    send = Sending(client, memory, tenant)
    await send(START)  # type: ignore[arg-type]
    await send(whole(body))


def test_a_large_answer_goes_out_in_pieces_that_are_all_of_it() -> None:
    async def scenario() -> None:
        client = Client()
        await answer(client, Memory(), "ada", LARGE)
        assert (client.status, client.body) == (200, LARGE)
        assert max(len(message["body"]) for message in client.sent[1:]) <= PIECE
        assert [message["more_body"] for message in client.sent[1:]] == [True, True, True, False]

    asyncio.run(scenario())


def test_answers_that_are_not_read_are_bounded_for_their_tenant_alone() -> None:
    async def scenario() -> None:
        memory = Memory(in_all=8 * len(LARGE), per_tenant=2 * len(LARGE))
        stuck = [Client(), Client()]
        for client in stuck:
            client.reads.clear()
        unread = [asyncio.create_task(answer(client, memory, "ada", LARGE)) for client in stuck]
        await asyncio.sleep(0)
        refused, small, other = Client(), Client(), Client()
        await answer(refused, memory, "ada", LARGE)
        await answer(small, memory, "ada", b"small")
        await answer(other, memory, "bob", LARGE)
        assert (refused.status, small.status, small.body, other.body) == (503, 200, b"small", LARGE)
        stuck[0].reads.set()
        await unread[0]
        again = Client()
        await answer(again, memory, "ada", LARGE)
        assert (stuck[0].body, again.body) == (LARGE, LARGE)
        unread[1].cancel()
        await asyncio.gather(unread[1], return_exceptions=True)
        memory.check("ada", 2 * len(LARGE))

    asyncio.run(scenario())


def test_pieces_of_a_stream_pass_as_they_are() -> None:
    async def scenario() -> None:
        client = Client()
        send = Sending(client, Memory(in_all=0, per_tenant=0), "ada")
        await send(START)  # type: ignore[arg-type]
        for message in (whole(LARGE, more=True), whole(b"")):
            await send(message)
        assert client.body == LARGE

    asyncio.run(scenario())
