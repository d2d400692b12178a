"""A provider of models that does as it is told: in the loop of a test, or as a process beside it.

What it can be told is in ``docs/mock-provider.md``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from holdfast.app.readiness import READY_FD, decode
from holdfast.gateway.core.settings import MockSettings
from holdfast.gateway.shell.mock import Entry, MockLedger, MockProvider, parse_fault
from holdfast.testing.client import Answer, RawClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

__all__ = [
    "Entry",
    "MockLedger",
    "MockProvider",
    "ProviderProcess",
    "chat_request",
    "mock_provider",
    "post",
    "provider_process",
    "request",
]

_START_S: Final = 20.0
_STOP_S: Final = 5.0


@asynccontextmanager
async def mock_provider(*faults: str, **settings: Any) -> AsyncIterator[MockProvider]:
    """A provider in this loop, on a free port of loopback.

    ``faults`` are in force from the start (``"share=0.1,429=3s"``); ``settings`` are those of :class:`MockSettings`.
    Raises ``BadOrder`` for a fault that is none.
    """
    told = MockSettings(**({"listen": "127.0.0.1:0"} | settings))
    async with MockProvider(told, faults=[parse_fault(fault) for fault in faults]) as provider:
        yield provider


def request(path: str, body: Mapping[str, Any] | bytes | None = None, *, method: str = "POST", **fields: str) -> bytes:
    """A request as bytes. ``fields`` are named with ``_`` for ``-``; a mapping is sent as JSON."""
    content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: mock", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def chat_request(
    protocol: str, model: str, text: str, *, stream: bool = False, tool: str | None = None
) -> tuple[str, dict[str, Any]]:
    """Path and body of the plainest chat of a protocol, with a tool of this name. Usage is asked for.

    Raises ``ValueError`` for a protocol that is none, and for a tool where there are none.
    """
    name = quote(model, safe="")
    said = {"role": "user", "content": text}
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    tools: dict[str, Any]
    function: dict[str, Any] = {"name": tool, "parameters": schema}
    body: dict[str, Any] = {"model": model, "messages": [said], "stream": stream}
    match protocol:
        case "openai":
            options = {"stream_options": {"include_usage": True}} if stream else {}
            tools = {"tools": [{"type": "function", "function": function}]}
            return "/v1/chat/completions", body | options | (tools if tool else {})
        case "completions" if tool is None:
            options = {"stream_options": {"include_usage": True}} if stream else {}
            return "/v1/completions", {"model": model, "prompt": text, "stream": stream} | options
        case "responses":
            tools = {"tools": [{"type": "function", **function}]}
            return "/v1/responses", {"model": model, "input": text, "stream": stream} | (tools if tool else {})
        case "anthropic":
            tools = {"tools": [{"name": tool, "input_schema": schema}]}
            return "/v1/messages", body | {"max_tokens": 1024} | (tools if tool else {})
        case "gemini":
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            tools = {"tools": [{"functionDeclarations": [function]}]}
            contents = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
            return f"/v1beta/models/{name}:{verb}", contents | (tools if tool else {})
        case "bedrock":
            verb = "converse-stream" if stream else "converse"
            tools = {"toolConfig": {"tools": [{"toolSpec": {"name": tool, "inputSchema": {"json": schema}}}]}}
            messages = {"messages": [{"role": "user", "content": [{"text": text}]}]}
            return f"/model/{name}/{verb}", messages | (tools if tool else {})
    raise ValueError(f"no chat of {protocol!r} with these")


async def post(port: int, path: str, body: Mapping[str, Any] | bytes, **fields: str) -> Answer:
    """Ask once, on a connection of its own. Raises as :meth:`RawClient.answer`."""
    async with await RawClient.connect("127.0.0.1", port) as client:
        return await client.ask(request(path, body, **fields))


class ProviderProcess:
    """``holdfast run mock-provider`` on a free port of loopback, and its administration."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url
        self.port = int(url.rpartition(":")[2])

    async def ledger(self, since: int = 0) -> list[Entry]:
        """The attempts after number ``since``, oldest first."""
        lines = (await self._administer("GET", f"/mock/ledger?since={since}")).splitlines()
        return [msgspec.json.decode(line, type=Entry) for line in lines]

    async def stats(self) -> dict[str, Any]:
        """Totals since the start, or since :meth:`forget`."""
        found: dict[str, Any] = msgspec.json.decode(await self._administer("GET", "/mock/stats"))
        return found

    async def forget(self) -> None:
        """Empty the ledger of all that is not in flight."""
        await self._administer("DELETE", "/mock/ledger")

    async def order(self, *faults: str) -> None:
        """Put faults in force. Raises ``ValueError`` for one that is none."""
        await self._administer("POST", "/mock/faults", "\n".join(faults).encode())

    async def relent(self) -> None:
        """End all faults."""
        await self._administer("DELETE", "/mock/faults")

    async def _administer(self, method: str, path: str, body: bytes = b"") -> bytes:
        async with await RawClient.connect("127.0.0.1", self.port) as client:
            answer = await client.ask(request(path, body, method=method))
        if answer.status != 200:
            raise ValueError(f"{method} {path}: {answer.status} {answer.body.decode()}")
        return answer.body


@asynccontextmanager
async def provider_process(*arguments: str) -> AsyncIterator[ProviderProcess]:
    """A provider as a process, which is ended at the end; ``arguments`` as on the command line (``"--fault", ...``).

    Raises ``ChildProcessError`` when it does not start, with what it said.
    """
    with tempfile.TemporaryFile() as said:  # a pipe that nobody reads would stop it one day
        process, here = await _started(said, arguments)
        try:
            addresses = await _ready(here)
            if addresses is None:
                await _ended(process)
                said.seek(0)
                raise ChildProcessError(f"the provider did not start: {said.read(4096).decode(errors='replace')}")
            yield ProviderProcess(process, addresses["mock-provider"])
        finally:
            await _ended(process)


async def _started(said: IO[bytes], arguments: Sequence[str]) -> tuple[asyncio.subprocess.Process, int]:
    """The process, and the descriptor on which it says that it is ready."""
    here, there = os.pipe()
    environ = os.environ | {READY_FD: str(there), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = (sys.executable, "-P", "-m", "holdfast", "run", "mock-provider", "--listen", "127.0.0.1:0", *arguments)
    try:
        process = await asyncio.create_subprocess_exec(*command, env=environ, pass_fds=(there,), stderr=said)
    except BaseException:
        os.close(here)
        raise
    finally:
        os.close(there)
    return process, here


async def _ready(descriptor: int) -> dict[str, str] | None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        async with asyncio.timeout(_START_S):
            return decode(await reader.readline())
    finally:
        transport.close()


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, then make it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            break
        process.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            continue
