"""A webhook receiver for a demonstration: takes what the webhook channel sends, and shows it.

``POST /`` verifies the signature and keeps the message; ``GET /`` is a page of them, newest first; ``GET /messages``
the same as JSON. Messages are kept in memory, :data:`KEPT` of them. A repetition (same key) counts but shows once.
"""

from __future__ import annotations

import asyncio
import html
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from holdfast.netpulse.core.delivery import line
from holdfast.netpulse.core.signature import HEADER, verify

KEPT: Final = 100
BODY_LIMIT: Final = 256 * 2**10
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "article{border:1px solid #8886;border-left:6px solid #888;border-radius:6px;padding:.5rem 1rem;margin:1rem 0}"
    "h2{font-size:1.1rem;margin:.25rem 0}p{margin:.25rem 0}small{opacity:.7;overflow-wrap:anywhere}"
    ".open{border-left-color:#d92d20}.acknowledged{border-left-color:#2e90fa}.resolved{border-left-color:#12b76a}"
)
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'"


@dataclass(slots=True)
class Received:
    """A message, and how often it came."""

    body: Mapping[str, Any]
    at: float
    times: int = 1


class Sink:
    """What came in."""

    def __init__(self, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        self.received: OrderedDict[str, Received] = OrderedDict()
        """By key, the oldest first."""

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.add_routes([web.post("/", self._take), web.get("/", self._page), web.get("/messages", self._list)])
        return app

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if wrong := verify(self._secret, request.headers.get(HEADER, ""), body, now=self._clock()):
            return web.Response(status=401, text=wrong)
        try:
            message = msgspec.json.decode(body)
            key = message["key"]
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError, KeyError):
            return web.Response(status=400, text="not a message of the webhook channel")
        if known := self.received.get(str(key)):
            known.times += 1
        else:
            self.received[str(key)] = Received(message, self._clock())
            if len(self.received) > KEPT:
                self.received.popitem(last=False)
        return web.Response(status=204)

    async def _list(self, _: web.Request) -> web.Response:
        messages = [dict(received.body) | {"times": received.times} for received in reversed(self.received.values())]
        return web.Response(body=msgspec.json.encode(messages), content_type="application/json")

    async def _page(self, _: web.Request) -> web.Response:
        articles = "".join(_article(received) for received in reversed(self.received.values()))
        page = (
            "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=3>"
            "<meta name=viewport content='width=device-width'><title>Messages</title>"
            f"<style>{_STYLE}</style><h1>Messages</h1><p>What the webhook channel sent here, newest first.</p>"
            f"{articles or '<p>Nothing yet.</p>'}"
        )
        return web.Response(
            text=page,
            content_type="text/html",
            headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"},
        )


async def serve_sink(host: str, port: int, secret: str, ready: Callable[[int], None]) -> None:
    """Serve until cancelled. ``ready`` is told the port (another one when ``port`` is 0) once it listens."""
    runner = web.AppRunner(Sink(secret).app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        ready(runner.addresses[0][1])
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _article(received: Received) -> str:
    body = received.body
    incident = body.get("incident")
    status = str(incident.get("status", "")) if isinstance(incident, dict) else ""
    colour = status if status in {"open", "acknowledged", "resolved"} else ""
    at = time.strftime("%H:%M:%S", time.gmtime(received.at))
    links = "".join(
        f' <a rel="noreferrer" href="{html.escape(url)}">{text}</a>'
        for text, url in (("Acknowledge", body.get("acknowledge_url")), ("Incident", _url_of(incident)))
        if isinstance(url, str) and url.startswith(("http://", "https://"))
    )
    times = f", came {received.times} times" if received.times > 1 else ""
    return (
        f'<article class="{colour}"><h2>{_text(body.get("title"))}</h2><p>{_text(body.get("summary"))}</p>'
        f"<p>{links}</p><small>{at} UTC{times} · {_text(body.get('key'))}</small></article>"
    )


def _url_of(incident: object) -> object:
    return incident.get("url") if isinstance(incident, dict) else None


def _text(value: object) -> str:
    return html.escape(line(str(value or ""), 400))
