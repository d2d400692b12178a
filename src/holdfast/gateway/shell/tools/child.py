"""A server of the Model Context Protocol as a child process: newline-delimited JSON-RPC on its standard streams.

The SDK has a transport of its own; this one takes its place for what it does not do: the child gets PATH and what the
operator configured, and nothing else of our environment (the SDK adds HOME, USER, SHELL and more); a line is bounded;
and the whole process group ends with the connection, whatever state it is in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

log = logging.getLogger(__name__)

LINE_BYTES: Final = 4 * 1024 * 1024
"""Of one message. A result may have 1 MiB, and JSON in JSON doubles its backslashes."""
QUEUED: Final = 16
GRACE_S: Final = 2.0
"""To end by itself when its input is closed (https://modelcontextprotocol.io/specification, lifecycle: shutdown)."""
TERM_S: Final = 1.0
REAP_S: Final = 5.0
_LOGGED_LINES: Final = 50
_LOGGED_CHARACTERS: Final = 500


@asynccontextmanager
async def child(
    name: str, command: Sequence[str], environment: Mapping[str, str], *, gone: asyncio.Event
) -> AsyncIterator[tuple[Any, Any]]:
    """Start it; the streams that a session of the SDK reads and writes. ``gone`` is set when it says no more.

    Raises ``OSError`` when it cannot be started.
    """
    import anyio
    from mcp.shared.message import SessionMessage

    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath), **environment},
        start_new_session=True,
        limit=LINE_BYTES,
    )
    to_session, reading = anyio.create_memory_object_stream[SessionMessage | Exception](QUEUED)
    writing, from_session = anyio.create_memory_object_stream[SessionMessage](QUEUED)
    tasks = [
        asyncio.create_task(_hear(process, to_session, gone), name=f"mcp {name} output"),
        asyncio.create_task(_tell(process, from_session, gone), name=f"mcp {name} input"),
        asyncio.create_task(_log(name, process), name=f"mcp {name} log"),
    ]
    try:
        yield reading, writing
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Not to be cut short: what is left of it would be nobody's.
        await asyncio.shield(asyncio.create_task(_end(name, process), name=f"mcp {name} end"))
        for stream in (to_session, reading, writing, from_session):
            await stream.aclose()


async def _hear(process: asyncio.subprocess.Process, to_session: Any, gone: asyncio.Event) -> None:
    from mcp.shared.message import SessionMessage
    from mcp.types import jsonrpc_message_adapter

    output = process.stdout
    assert output is not None  # noqa: S101 - it was asked for
    try:
        while line := await output.readline():
            if not line.strip():
                continue
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError as error:
                await to_session.send(error)  # a line that is no message: the session goes on without it
            else:
                await to_session.send(SessionMessage(message))
    except (ValueError, OSError) as error:
        log.warning("a server of tools says what cannot be read: %s", error, extra={"action": "mcp"})
    finally:
        gone.set()
        to_session.close()


async def _tell(process: asyncio.subprocess.Process, from_session: Any, gone: asyncio.Event) -> None:
    stdin = process.stdin
    assert stdin is not None  # noqa: S101 - it was asked for
    try:
        async for message in from_session:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            stdin.write(text.encode() + b"\n")
            await stdin.drain()
    except OSError:
        gone.set()


async def _log(name: str, process: asyncio.subprocess.Process) -> None:
    """The first lines of what it says to nobody: enough to see why it does not start."""
    errors = process.stderr
    assert errors is not None  # noqa: S101 - it was asked for
    lines = 0
    with contextlib.suppress(ValueError):  # a line beyond all bounds
        while line := await errors.readline():
            lines += 1
            if lines <= _LOGGED_LINES:
                text = line.decode("utf-8", "replace").rstrip()[:_LOGGED_CHARACTERS]
                log.info("mcp %s: %s", name, text, extra={"action": "mcp_stderr"})


async def _end(name: str, process: asyncio.subprocess.Process) -> None:
    """Its input closed, then SIGTERM, then SIGKILL to the whole group."""
    if process.stdin is not None:
        process.stdin.close()
    for number, patience_s in ((None, GRACE_S), (signal.SIGTERM, TERM_S), (signal.SIGKILL, REAP_S)):
        if number is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        try:
            async with asyncio.timeout(patience_s):
                await process.wait()
        except TimeoutError:
            continue
        break
    else:
        log.error("a server of tools does not end", extra={"action": "mcp", "server": name, "pid": process.pid})
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what it started, and left
