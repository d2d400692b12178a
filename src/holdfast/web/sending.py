"""Large answers: sent as fast as they are read, and counted while they are held.

A result may have 16 MiB, and asking for it costs a client nothing. Handed to the connection in one
piece it would stay in memory until it is read; whoever asks often and reads nothing would have
all of it. So a large answer goes out in pieces, each after the one before was taken, and of one
tenant no more is held than a bound. Small answers and streams pass as they are.
"""

from __future__ import annotations

from typing import Any, Final

from litestar.types import Message, Send

from holdfast.web.problems import MEDIA_TYPE, ProblemError
from holdfast.web.reading import Memory

PIECE: Final = 64 * 1024
"""What a connection takes before it asks to wait (asyncio's high-water mark)."""
IN_ALL: Final = 512 * 2**20
PER_TENANT: Final = IN_ALL // 4
"""The largest output that the ceilings allow by default fits, each of its bytes escaped."""


def answers() -> Memory:
    """Room for the answers of a process."""
    return Memory(in_all=IN_ALL, per_tenant=PER_TENANT)


class Sending:
    """The ``send`` of one request."""

    def __init__(self, send: Send, memory: Memory, tenant: str) -> None:
        self._send = send
        self._memory = memory
        self._tenant = tenant
        self._start: Message | None = None
        self._refused = False

    async def __call__(self, message: Message) -> None:
        """Send, or answer with a problem instead when there is no room."""
        if message["type"] == "http.response.start":
            self._start = message  # held back until it is known what follows
            return
        if self._refused:
            return
        content: Any = message
        body: bytes = content.get("body", b"")
        if len(body) <= PIECE or content.get("more_body"):
            await self._begin()
            await self._send(message)
            return
        try:
            self._memory.take(self._tenant, len(body))
        except ProblemError:
            await self._refuse()
            return
        try:
            await self._begin()
            view = memoryview(body)
            for at in range(0, len(body), PIECE):
                piece = bytes(view[at : at + PIECE])
                await self._send({"type": "http.response.body", "body": piece, "more_body": at + PIECE < len(body)})
        finally:
            self._memory.give(self._tenant, len(body))

    async def _begin(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            await self._send(start)

    async def _refuse(self) -> None:
        self._refused = True
        text = "large answers that were not read yet take all the room there is; read them, then try again"
        problem = ProblemError("overloaded", text, retry_after_s=1.0)
        body = problem.body()
        fields = {**problem.headers(), "content-type": MEDIA_TYPE, "content-length": str(len(body))}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        await self._send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
