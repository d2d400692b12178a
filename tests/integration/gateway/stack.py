"""A whole gateway in the loop of a test: data plane, ledger and control API on a free port, SQLite in a directory.

::

    async with mock_provider() as provider, running_gateway({}, provider=provider) as stack:
        answer = await stack.chat("hello")
"""

from __future__ import annotations

import socket
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from holdfast.gateway.core.settings import GatewaySettings
from holdfast.gateway.shell.serve import assemble
from holdfast.store import StoreSettings
from holdfast.web.listening import url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from holdfast.gateway.shell.mock import MockProvider
    from holdfast.gateway.shell.plane.gateway import Gateway

PRICE = {"input": 1.0, "output": 2.0}
"""Dollars for a million tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


class Stack:
    """A gateway that answers, and a client of it."""

    def __init__(self, gateway: Gateway, base: str, session: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.url = base
        """``http://127.0.0.1:PORT``."""
        self.session = session

    async def key(self, tenant: str = "acme", role: str = "owner", **options: Any) -> str:
        """The text of a new key; ``options`` as of :meth:`KeyBook.create`."""
        _, _, text = await self.gateway.permits.book.create(tenant, role=role, **options)
        return text

    async def ask(self, method: str, path: str, *, key: str | None = None, **options: Any) -> Reply:
        """One request; ``json=``, ``data=`` and ``params=`` as aiohttp has them."""
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers.setdefault("Authorization", f"Bearer {key}")
        async with self.session.request(method, self.url + path, headers=headers, **options) as answer:
            return Reply(status=answer.status, headers=answer.headers.copy(), body=await answer.read())

    async def ok(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer that is well."""
        reply = await self.ask(method, path, **options)
        assert reply.status < 300, (reply.status, reply.body)
        return reply.json() if reply.body else None

    async def refused(self, method: str, path: str, **options: Any) -> Any:
        """The problem (RFC 9457) of an answer that is not."""
        reply = await self.ask(method, path, **options)
        assert reply.headers["content-type"] == "application/problem+json", (reply.status, reply.body)
        problem = reply.json()
        assert problem["status"] == reply.status
        return problem

    async def chat(self, text: str = "hello", *, model: str = "demo", key: str | None = None, **fields: Any) -> Reply:
        """One request at ``/v1/chat/completions``; ``fields`` go into its body."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return await self.ask("POST", "/v1/chat/completions", key=key, json=body)

    async def settle(self) -> None:
        """Have all that was answered in the store, where reports look."""
        await self.gateway.ledger.fold()


@asynccontextmanager
async def running_gateway(
    settings: Mapping[str, Any] | None = None,
    *,
    provider: MockProvider | None = None,
    directory: Path | None = None,
    log: Path | None = None,
) -> AsyncIterator[Stack]:
    """A gateway with these settings, as a file has them, over the ones that a test would always write.

    With a ``provider`` it is ``mock``, and the model ``demo`` is its ``mock-small``. ``directory`` (one of its own
    otherwise) keeps the journal and the store, so that a second gateway can go on from there. ``log``: a file for the
    request log, which is off without one.
    """
    with tempfile.TemporaryDirectory() as made:
        root = Path(made) if directory is None else directory
        base: dict[str, Any] = {"anonymous": {"tenant": "local"}, "log": {"requests": log is not None}}
        if provider is not None:
            base["providers"] = {
                "mock": {"protocol": "openai", "url": f"{provider.url}/v1", "private": True, "auth": "none"}
            }
            base["models"] = {"demo": {"deployments": [{"provider": "mock", "model": "mock-small", "price": PRICE}]}}
        told = base | {"ledger": {"path": str(root / "ledger"), "fold": "20ms"}} | dict(settings or {})
        config = msgspec.convert(told, GatewaySettings, dec_hook=_decoded)
        async with AsyncExitStack() as stack:
            sock = socket.create_server(("127.0.0.1", 0))
            stack.callback(sock.close)
            gateway = await assemble(
                stack,
                config,
                StoreSettings(url=f"sqlite:{root / 'x.db'}"),
                catalogue=_none,
                log_path="/dev/null" if log is None else str(log),
            )
            await gateway.engine.listen(sock)
            session = await stack.enter_async_context(
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), auto_decompress=False)
            )
            yield Stack(gateway, url(sock), session)
            await gateway.engine.drain(1.0)


async def _none() -> None:
    """No prices but those of the configuration."""


def _decoded(kind: Any, value: Any) -> Any:
    """Durations and sizes."""
    return kind.parse(value) if isinstance(value, str) else kind(value)
