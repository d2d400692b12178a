"""Chromium without a window, driven over its DevTools protocol.

Only what a walk through pages needs: open, wait for a condition, evaluate, click, type, take a
picture. Input goes the way a person's does (``Input.*``), so focus, key handlers and form submission
are the browser's own. https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.machine import require_tool

DEADLINE_S = 30.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--remote-debugging-port=0",
)


class Tab:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())
        self.complaints: list[str] = []
        """Errors of scripts and violations of the security policy."""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol."""
        self._number += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        await self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        async with asyncio.timeout(DEADLINE_S):
            return await answer

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        got = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise AssertionError(f"{expression}: {got['exceptionDetails']}")
        return got["result"].get("value")

    async def open(self, url: str) -> None:
        """Go there; returns when the page and what it loads are there."""
        await self.evaluate("window.isLeft = true")
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && !window.isLeft")

    async def until(self, expression: str, *, within_s: float = DEADLINE_S) -> None:
        """Wait until a JavaScript expression is true."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    try:
                        if await self.evaluate(f"!!({expression})"):
                            return
                    except (RuntimeError, AssertionError):  # between two pages there is nothing to ask
                        pass
                    await asyncio.sleep(0.02)
        except TimeoutError:
            text = await self.evaluate("location.href + '\\n' + document.body.innerText")
            raise AssertionError(f"never came true: {expression}\non {text}") from None

    async def click(self, selector: str) -> None:
        """Click in the middle of an element; once more when the page moved it away at just that moment."""
        quoted = json.dumps(selector)
        waits = "document.documentElement.dataset.clickWaits"
        for attempt in range(5):
            if attempt and await self.evaluate(f"document.querySelector({quoted}) === null"):
                return  # the click was only slow to lead away from here
            box = await self.evaluate(
                "(e => { e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
                f" {waits} = 'yes';"
                f" e.addEventListener('click', () => {{ {waits} = 'no'; }}, {{once: true, capture: true}});"
                f" return [r.x + r.width / 2, r.y + r.height / 2]; }})(document.querySelector({quoted}))"
            )
            for kind in ("mousePressed", "mouseReleased"):
                await self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)
            try:
                # A page that the click led away from has another document, in which nobody waits,
                # or for a moment one without anything.
                if await self.evaluate(f"document.documentElement === null || {waits} !== 'yes'"):
                    return
            except RuntimeError:  # it is on its way there
                return
        raise AssertionError(f"{selector} could not be clicked")

    async def press(self, key: str, *, code: int, modifiers: int = 0, text: str = "") -> None:
        """One key. ``modifiers``: 1 Alt, 2 Control, 8 Shift."""
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                modifiers=modifiers,
                **extra,
            )

    async def type(self, selector: str, text: str) -> None:
        """Replace what stands in a field."""
        await self.evaluate(f"(e => {{ e.focus(); e.select(); }})(document.querySelector({json.dumps(selector)}))")
        await self.call("Input.insertText", text=text)

    async def text(self, selector: str) -> str:
        """What an element shows."""
        return str(await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    async def window(self, width: int, height: int = 900, *, dark: bool = False, script: bool = True) -> None:
        """Size, colours, and whether scripts run."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Emulation.setScriptExecutionDisabled", value=not script)

    async def picture(self) -> bytes:
        """The whole page as PNG."""
        got = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(got["data"])

    async def close(self) -> None:
        """Let go of the page."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._socket.close()

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if (answer := self._answers.pop(message.get("id", 0), None)) is not None:
                if answer.done():
                    continue
                if "error" in message:
                    answer.set_exception(RuntimeError(str(message["error"])))
                else:
                    answer.set_result(message["result"])
            elif message.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(message["params"]["exceptionDetails"]))
            elif message.get("method") == "Log.entryAdded" and message["params"]["entry"]["source"] == "security":
                self.complaints.append(message["params"]["entry"]["text"])


@asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Tab]:
    """A browser of its own with one empty page; ended with everything that it started."""
    program = require_tool("chromium")
    # What it leaves for others of its kind goes away with it, since it is ended before it could tidy up.
    with tempfile.TemporaryDirectory(prefix="holdfast-", ignore_cleanup_errors=True) as temporary:
        async with _chromium(program, profile, temporary) as tab:
            yield tab


@asynccontextmanager
async def _chromium(program: str, profile: Path, temporary: str) -> AsyncIterator[Tab]:
    process = await asyncio.create_subprocess_exec(
        program,
        *FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"TMPDIR": temporary},
    )
    draining: asyncio.Task[bytes] | None = None
    try:
        port, draining = await _listening(process)
        tab = await _first_tab(port)
        try:
            for domain in ("Page", "Runtime", "Log"):
                await tab.call(f"{domain}.enable")
            yield tab
        finally:
            await tab.close()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        async with asyncio.timeout(DEADLINE_S):
            await process.wait()
            if draining is not None:
                # The pipe ends when the last of the browser's processes has: until then the loop must not be closed.
                await draining


async def _listening(process: asyncio.subprocess.Process) -> tuple[str, asyncio.Task[bytes]]:
    """Where it says on standard error that it listens; the rest of that is read and dropped."""
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(DEADLINE_S):
        while line := await process.stderr.readline():
            said += line
            if line.startswith(b"DevTools listening on ws://"):
                address = line.split(b"ws://")[1].split(b"/")[0].decode()
                return address, asyncio.create_task(process.stderr.read())
    raise AssertionError(f"chromium did not start:\n{said.decode(errors='replace')}")


async def _first_tab(address: str) -> Tab:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"GET /json/list HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(DEADLINE_S):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            pages = json.loads(await reader.readexactly(length))
    finally:
        writer.close()
        await writer.wait_closed()
    url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
    return Tab(await connect(url, max_size=64 * 2**20, proxy=None))
