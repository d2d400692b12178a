"""Servers of the Model Context Protocol, whose tools become ours as ``SERVER.TOOL``.

Each server has a supervisor: it connects, lists the tools, lists them again when the server says that they changed,
and connects anew when the connection breaks, at growing intervals, a bounded number of times an hour. A call that is
given up is cancelled by the protocol's own notification; then the server has to answer a ping. One that does not is at
work on what nobody wants, so its connection is closed, and a child process with all that it started is killed.

What a server says of itself (names, descriptions, schemas, hints that a tool only reads) is what a stranger says: it
is bounded and checked, and the scope of its tools is the operator's.

The SDK (extra ``mcp``) is imported when a server is configured, not before: it brings some 40 MB.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.gateway.core.tools import DESCRIPTION_CHARACTERS, SCHEMA_BYTES, Result, ToolSpec, schema_fault
from holdfast.gateway.errors import Invalid, Refused
from holdfast.gateway.shell.tools.child import child
from holdfast.gateway.shell.tools.remote import remote

if TYPE_CHECKING:
    from random import Random

    from holdfast.gateway.core.settings import McpSettings
    from holdfast.identity import Principal

log = logging.getLogger(__name__)

CONNECT_S: Final = 20.0
"""To start, agree on a version and list the tools; an interpreter with its packages takes seconds."""
PING_S: Final = 2.0
LIST_S: Final = 10.0
TOOLS: Final = 256
"""Of one server."""
PAGES: Final = 20
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
STARTS_PER_HOUR: Final = 30
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class McpServer:
    """One server, supervised. To be opened and closed."""

    def __init__(
        self, name: str, settings: McpSettings, *, rng: Random, changed: Callable[[], None] = lambda: None
    ) -> None:
        """``changed`` is called when the tools are others than before."""
        self.name = name
        self.settings = settings
        self.tools: dict[str, ToolSpec] = {}
        """By our name; empty while the server is not there."""
        self._rng = rng
        self._changed = changed
        self._session: Any = None
        self._gone = asyncio.Event()
        self._doubted = asyncio.Event()
        self._listing = asyncio.Event()
        self._starts: deque[float] = deque(maxlen=STARTS_PER_HOUR)
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()

    async def open(self) -> None:
        """Connect in the background. Raises :class:`Invalid` without the SDK."""
        try:
            import mcp  # noqa: F401 - whether it is there
        except ImportError as error:
            raise Invalid(f"gateway.mcp.{self.name}: needs the MCP SDK; pip install 'holdfast[mcp]'") from error
        self._task = asyncio.create_task(self._supervise(), name=f"mcp {self.name}")

    async def wait_tried(self, within_s: float) -> None:
        """Until the first attempt to connect is over, however it went, or the time is."""
        try:
            async with asyncio.timeout(within_s):
                await self._tried.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Disconnect; a child process ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def call(self, tool: str, arguments: dict[str, Any]) -> Result:
        """Call a tool by the server's own name of it. Raises :class:`Refused`."""
        from mcp import MCPError

        session = self._session
        if session is None:
            raise Refused("upstream_failed", f"the server {self.name} is not there", retry_after_s=1.0, retryable=True)
        try:
            answer = await session.call_tool(tool, arguments)
        except asyncio.CancelledError:
            self._doubted.set()
            raise
        except MCPError as error:
            self._doubted.set()
            raise Refused("upstream_failed", f"the server {self.name} refused: {str(error)[:500]}") from error
        except Exception as error:
            self._doubted.set()
            log.warning("a call failed: %s", error, extra={"action": "mcp", "server": self.name, "tool": tool})
            raise Refused("upstream_failed", f"the connection to {self.name} broke", retryable=True) from error
        return _result(answer.model_dump(mode="json", by_alias=True, exclude_none=True))

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while True:
            await self._budget(loop.time())
            self._starts.append(loop.time())
            try:
                await self._live()
            except Exception as error:  # noqa: BLE001 - whatever a server or the SDK does, it is tried again
                log.warning("not connected: %s", _first(error), extra={"action": "mcp", "server": self.name})
            finally:
                self._session = None
                self._set({})
                self._tried.set()
            if loop.time() - self._starts[-1] > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S  # it held for a while: this is another trouble
            await asyncio.sleep(pause_s * (0.5 + self._rng.random() / 2))
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    async def _budget(self, now: float) -> None:
        """Wait until another start can be afforded."""
        if len(self._starts) == STARTS_PER_HOUR and (wait_s := self._starts[0] + 3600.0 - now) > 0:
            log.error("too many starts; trying later", extra={"action": "mcp", "server": self.name, "wait_s": wait_s})
            await asyncio.sleep(wait_s)

    async def _live(self) -> None:
        """One connection, from its beginning to its end."""
        from mcp import ClientSession

        for event in (self._gone, self._doubted, self._listing):
            event.clear()
        async with (
            self._transport() as (reading, writing),
            ClientSession(reading, writing, message_handler=self._heard) as session,
        ):
            async with asyncio.timeout(CONNECT_S):
                await session.initialize()
                tools = await self._listed(session)
            self._session = session
            self._set(tools)
            self._tried.set()
            log.info("connected", extra={"action": "mcp", "server": self.name, "tools": len(tools)})
            await self._watch(session)

    async def _watch(self, session: Any) -> None:
        """Until the connection is gone, or good for nothing."""
        events = (self._gone, self._doubted, self._listing)
        while True:
            waits = [asyncio.create_task(event.wait(), name=f"mcp {self.name} watch") for event in events]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
            if self._gone.is_set():
                raise ConnectionError("the server went away")
            if self._doubted.is_set():
                self._doubted.clear()
                async with asyncio.timeout(PING_S):
                    await session.send_ping()
            if self._listing.is_set():
                self._listing.clear()
                async with asyncio.timeout(LIST_S):
                    self._set(await self._listed(session))

    @asynccontextmanager
    async def _transport(self) -> AsyncIterator[tuple[Any, Any]]:
        settings = self.settings
        if settings.url is not None:
            async with remote(settings.url, settings.headers, private=settings.private) as streams:
                yield streams
        else:
            async with child(self.name, settings.command, settings.environment, gone=self._gone) as streams:
                yield streams

    async def _heard(self, message: Any) -> None:
        if type(getattr(message, "root", message)).__name__ == "ToolListChangedNotification":
            self._listing.set()

    async def _listed(self, session: Any) -> dict[str, ToolSpec]:
        from mcp.types import PaginatedRequestParams

        found: dict[str, ToolSpec] = {}
        cursor: str | None = None
        for _ in range(PAGES):
            page = await session.list_tools(params=None if cursor is None else PaginatedRequestParams(cursor=cursor))
            for tool in page.tools:
                spec = self._spec(tool.model_dump(mode="json", by_alias=True, exclude_none=True))
                if spec is not None and len(found) < TOOLS:
                    found[spec.name] = spec
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    def _spec(self, tool: dict[str, Any]) -> ToolSpec | None:
        """A tool as the server tells of it; ``None`` for one that will not do."""
        name, schema, output = str(tool["name"]), tool.get("inputSchema") or {}, tool.get("outputSchema")
        fault = None if _NAME.fullmatch(name) else "its name has characters that are not allowed"
        for each in (schema, *([output] if output is not None else [])):
            if fault is None:
                too_large = len(msgspec.json.encode(each)) > SCHEMA_BYTES
                fault = f"its schema has more than {SCHEMA_BYTES} bytes" if too_large else schema_fault(each)
        if fault is not None:
            log.warning(
                "a tool is left out: %s", fault, extra={"action": "mcp", "server": self.name, "tool": name[:100]}
            )
            return None
        return ToolSpec(
            name=f"{self.name}.{name}",
            description=str(tool.get("description") or tool.get("title") or "")[:DESCRIPTION_CHARACTERS],
            schema={"type": "object", **schema},
            output=output,
            scope=self.settings.scope,
            timeout_s=float(self.settings.timeout),
            kind="mcp",
        )

    def _set(self, tools: dict[str, ToolSpec]) -> None:
        if tools != self.tools:
            self.tools = tools
            self._changed()


class McpTool:
    """One tool of a server."""

    def __init__(self, server: McpServer, tool: str) -> None:
        self._server = server
        self._tool = tool

    async def call(self, arguments: str, caller: Principal) -> Result:
        """What the server answers. Raises :class:`Refused`."""
        return await self._server.call(self._tool, msgspec.json.decode(arguments))


def _result(answer: dict[str, Any]) -> Result:
    is_error = bool(answer.get("isError"))
    structured = answer.get("structuredContent")
    if structured is not None and not is_error:
        return Result(text=msgspec.json.encode(structured).decode())
    parts = [
        part["text"] if part.get("type") == "text" else f"[{part.get('mimeType') or part.get('type')}, not shown]"
        for part in answer.get("content", ())
    ]
    return Result(text="\n".join(parts), is_error=is_error, is_json=False)


def _first(error: BaseException) -> BaseException:
    """What went wrong first, out of the groups that task groups wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if str(error) else type(error)(type(error).__name__)
