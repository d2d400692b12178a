"""Records and messages in memory."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.kernel import HoldfastError


class Memory:
    """Documents by kind and key."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    async def document(self, kind: str, key: str) -> bytes | None:
        return self.kept.get((kind, key))

    async def documents(self, kind: str) -> Mapping[str, bytes]:
        return {key: data for (of, key), data in self.kept.items() if of == kind}

    async def put_document(self, kind: str, key: str, data: bytes | None) -> None:
        if data is None:
            self.kept.pop((kind, key), None)
        else:
            self.kept[kind, key] = data


class Outgoing:
    """What was sent; addresses in ``failing`` get nothing."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str, str, Mapping[str, str]]] = []
        self.posts: list[tuple[str, bytes]] = []
        self.failing: set[str] = set()

    async def mail(self, to: str, subject: str, text: str, headers: Mapping[str, str]) -> None:
        if to in self.failing:
            raise HoldfastError("550 no such mailbox")
        self.mails.append((to, subject, text, headers))

    async def post(self, url: str, body: bytes) -> None:
        if url in self.failing:
            raise OSError("unreachable")
        self.posts.append((url, body))
