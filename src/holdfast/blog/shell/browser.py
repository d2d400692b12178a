"""Chromium without a window, told what to do over its DevTools protocol.

Only what taking pictures needs. Clicks and keys go the way a person's do (``Input.*``).
https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import aiohttp

from holdfast.blog.errors import ShootFailed

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Names under which distributions have it, in the order in which they are looked for."""
START_S: Final = 45.0
CALL_S: Final = 30.0
"""For one command of the protocol; a browser that says nothing for so long has died or hangs."""
_END_S: Final = 10.0
_LOOK_S: Final = 0.05
_TRIES: Final = 5
_SOCKET_LONGEST: Final = 60
"""Characters of a folder in which ``org.chromium.Chromium.XXXXXX/SingletonSocket`` fits into the 107 of a socket."""
_FLAGS: Final = (
    *("--headless", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--force-color-profile=srgb", "--remote-debugging-port=0"),
)
_LARGEST: Final = 64 * 2**20
_INSIDE: Final = ("PATH", "HOME", "LANG", "XDG_RUNTIME_DIR", "FONTCONFIG_PATH")
"""Of our environment: keys in it are no business of a browser."""

Scheme = Literal["light", "dark"]


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read(), name="devtools")

    async def look(self, width: int, height: int, scheme: Scheme) -> None:
        """Size in pixels and colours; nothing moves, and clocks and words are those of everywhere."""
        await self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        await self._call("Emulation.setEmulatedMedia", features=features)
        await self._call("Emulation.setTimezoneOverride", timezoneId="UTC")
        await self._call("Emulation.setLocaleOverride", locale="en-GB")

    async def open(self, url: str) -> None:
        """Go there; returns when the page and what it loads are there. Raises :class:`ShootFailed`."""
        for _ in range(_TRIES):
            with contextlib.suppress(_NotNow):  # what a click before led to may be on its way
                await self._value("window.isLeft = true")
            answer = await self._call("Page.navigate", url=url)
            if answer.get("errorText") != "net::ERR_ABORTED":
                break
            await self.wait("document.readyState === 'complete'", within_s=CALL_S)
        if "errorText" in answer:
            raise ShootFailed(f"{url}: {answer['errorText']}; is the platform up? 'make up' starts it")
        await self.wait("document.readyState === 'complete' && !window.isLeft", within_s=CALL_S)

    async def wait(self, expression: str, *, within_s: float) -> bool:
        """Whether a JavaScript expression came true in time."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    with contextlib.suppress(_NotNow):  # between two pages there is nothing to ask
                        if await self._value(f"!!({expression})"):
                            return True
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            return False

    async def click(self, selector: str) -> None:
        """In the middle of an element that is there."""
        at = await self._box(selector)
        x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            await self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def type(self, selector: str, text: str) -> None:
        """Replace what stands in a field."""
        await self._value(f"(e => {{ e.focus(); e.select(); }})({_found(selector)})")
        await self._call("Input.insertText", text=text)

    async def text(self) -> str:
        """What the page says, from its address on."""
        with contextlib.suppress(_NotNow):
            return str(await self._value("location.href + '\\n' + (document.body ? document.body.innerText : '')"))
        return "(no page)"

    async def picture(self, selector: str = "") -> bytes:
        """PNG of what is in sight, or of one element wherever it stands."""
        if not selector:
            answer = await self._call("Page.captureScreenshot", format="png")
        else:
            clip = {**await self._box(selector, scroll=False), "scale": 1}
            answer = await self._call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def close(self) -> None:
        """Let go of the page."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._socket.close()

    async def _box(self, selector: str, *, scroll: bool = True) -> dict[str, float]:
        into_view = "e.scrollIntoView({block: 'center'});" if scroll else ""
        offset = "0, 0" if scroll else "scrollX, scrollY"
        box: dict[str, float] = await self._value(
            f"(e => {{ {into_view} const r = e.getBoundingClientRect(), [x, y] = [{offset}];"
            " return {x: r.x + x, y: r.y + y, width: r.width, height: r.height}; })"
            f"({_found(selector)})"
        )
        return box

    async def _value(self, expression: str) -> Any:
        answer = await self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise _NotNow(str(answer["exceptionDetails"].get("text", "")))
        return answer["result"].get("value")

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        if self._reader.done():
            raise ShootFailed("the browser has died; run it again, and look at its memory if it does so each time")
        self._number += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        try:
            async with asyncio.timeout(CALL_S):
                await self._socket.send_str(json.dumps({"id": self._number, "method": method, "params": params}))
                return await answer
        except TimeoutError:
            raise ShootFailed(f"the browser did not answer {method} within {CALL_S:.0f} s") from None
        finally:
            self._answers.pop(self._number, None)

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                told = json.loads(message.data)
                answer = self._answers.get(told.get("id", 0))
                if answer is None or answer.done():
                    continue
                if "error" in told:
                    answer.set_exception(_NotNow(str(told["error"].get("message", ""))))
                else:
                    answer.set_result(told["result"])
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ShootFailed("the browser ended in the middle of it"))


class _NotNow(ShootFailed):
    """The page has no answer, mostly because it is between two documents."""


def _found(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})"


def find_browser(named: str = "") -> str:
    """Path of the program. Raises :class:`ShootFailed` with the command that installs it."""
    for name in (named,) if named else PROGRAMS:
        if found := shutil.which(name):
            return found
    what = f"{named} is no program" if named else f"none of {', '.join(PROGRAMS)} is installed"
    raise ShootFailed(f"{what}; apt-get install chromium, or name one with --browser")


@asynccontextmanager
async def browser(program: str) -> AsyncIterator[Tab]:
    """A browser with a profile of its own and one empty page; ended with everything that it started."""
    with tempfile.TemporaryDirectory(prefix="holdfast-shoot-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            *_command(program, profile),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=_environment(profile),
        )
        draining: asyncio.Task[None] | None = None
        try:
            address, draining = await _listening(process)
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=START_S)) as session,
                session.get(f"http://{address}/json/list") as answer,
            ):
                pages = await answer.json()
                url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
                async with session.ws_connect(url, max_msg_size=_LARGEST) as socket:
                    tab = Tab(socket)
                    try:
                        await tab._call("Page.enable")  # noqa: SLF001 - made here
                        yield tab
                    finally:
                        await tab.close()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await process.wait()
                    if draining is not None:
                        # The pipe ends with the last of the browser's processes: until then its profile is in use.
                        await draining


def _command(program: str, profile: str) -> Sequence[str]:
    # Chromium refuses to sandbox what root starts.
    rootly = ("--no-sandbox",) if os.geteuid() == 0 else ()
    return program, *_FLAGS, *rootly, f"--user-data-dir={profile}", "about:blank"


def _environment(profile: str) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _INSIDE if name in os.environ}
    # What it leaves for others of its kind goes with the profile, too, since it is ended before it could tidy up. A
    # socket is among it, whose path has to be short.
    return passed | ({"TMPDIR": profile} if len(profile) <= _SOCKET_LONGEST else {})


async def _listening(process: asyncio.subprocess.Process) -> tuple[str, asyncio.Task[None]]:
    """Where it says on standard error that it listens; the rest of that is read and dropped."""
    assert process.stderr is not None  # noqa: S101 - started with a pipe
    stderr, said = process.stderr, b""
    try:
        async with asyncio.timeout(START_S):
            while line := await stderr.readline():
                said = (said + line)[-4000:]
                if line.startswith(b"DevTools listening on ws://"):
                    address = line.split(b"ws://")[1].split(b"/")[0].decode()
                    return address, asyncio.create_task(_drain(stderr), name="browser's complaints")
    except TimeoutError:
        pass
    raise ShootFailed(f"the browser did not start within {START_S:.0f} s: {said.decode(errors='replace').strip()}")


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass
