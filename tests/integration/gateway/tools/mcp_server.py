"""A server of the Model Context Protocol, as its SDK makes them: on its standard streams, or
over HTTP on a socket whose number it is given."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import uvicorn
from mcp.server.mcpserver import Context, MCPServer


def server(marks: Path) -> MCPServer:
    """``marks`` is where tools leave word of what became of them."""
    made = MCPServer("tools of a test")

    @made.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @made.tool()
    def environment() -> list[str]:
        """Names of what the environment has."""
        return sorted(os.environ)

    @made.tool()
    def fail() -> str:
        """Fails."""
        raise ValueError("it is out of order")

    @made.tool()
    async def wait() -> str:
        """Waits until it is cancelled."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            (marks / "cancelled").touch()
            raise
        return ""

    @made.tool()
    async def stuck() -> str:
        """Takes the whole process and hears nothing."""
        (marks / "stuck").touch()
        time.sleep(600)  # noqa: ASYNC251 - this is the point
        return ""

    @made.tool()
    async def grow(context: Context) -> str:
        """Makes one more tool."""
        made.add_tool(lambda: 1, name="more", description="New.")
        await context.session.send_tool_list_changed()
        return "grown"

    @made.tool()
    async def die() -> str:
        """Ends the process in the middle of an answer."""
        os._exit(3)

    return made


def main() -> None:
    made = server(Path(os.environ["MARKS"]))
    if sys.argv[1:]:
        uvicorn.run(made.streamable_http_app(), fd=int(sys.argv[1]), log_config=None)
    else:
        made.run("stdio")


if __name__ == "__main__":
    main()
