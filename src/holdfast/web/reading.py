"""Bodies of requests, bounded while they come: each, those of a tenant together, and all together.

A body that is on its way holds no place among the requests that are worked on, only memory; and of
that one tenant cannot take so much that others are refused. How long it may take is bounded by
the connection (see :mod:`.connections`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from litestar.types import Receive

from holdfast.web.problems import ProblemError

IN_ALL: Final = 256 * 2**20
PER_TENANT: Final = IN_ALL // 4


class ClientGone(Exception):
    """The client went away before it was answered."""


class Memory:
    """Bytes of bodies that may be held at a time."""

    def __init__(self, *, in_all: int = IN_ALL, per_tenant: int = PER_TENANT) -> None:
        self._in_all = in_all
        self._per_tenant = per_tenant
        self._total = 0
        self._of: Counter[str] = Counter()

    def check(self, tenant: str, size: int) -> None:
        """Raise :class:`ProblemError` when so many bytes more would be too many."""
        if self._of[tenant] + size > self._per_tenant or self._total + size > self._in_all:
            raise ProblemError("overloaded", "too many large requests at once; try again", retry_after_s=1.0)

    def take(self, tenant: str, size: int) -> None:
        """Hold bytes that are there. Raises as :meth:`check`, and holds nothing then."""
        self.check(tenant, size)
        self._total += size
        self._of[tenant] += size

    def give(self, tenant: str, size: int) -> None:
        """They are gone."""
        self._total -= size
        self._of[tenant] -= size
        if not self._of[tenant]:
            del self._of[tenant]


async def read_body(receive: Receive, *, length: int | None, limit: int, memory: Memory, tenant: str) -> bytes:
    """The whole body, which is held in ``memory`` until the caller gives it back.

    ``length`` is what the head announces, ``limit`` the most. Raises :class:`ProblemError` as soon as either bound is
    passed, and :class:`ClientGone`.
    """
    if length is not None:
        if length > limit:
            raise _oversized(limit)
        memory.check(tenant, length)
    pieces: list[bytes] = []
    size = 0
    try:
        while True:
            message: Any = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            piece: bytes = message["body"]
            if size + len(piece) > limit:
                raise _oversized(limit)
            memory.take(tenant, len(piece))
            size += len(piece)
            if not message.get("more_body"):
                return b"".join((*pieces, piece)) if pieces else piece
            pieces.append(piece)
    except BaseException:
        memory.give(tenant, size)
        raise


def _oversized(limit: int) -> ProblemError:
    return ProblemError("payload-too-large", f"the body has more than {limit} bytes; make it smaller, or send parts")
