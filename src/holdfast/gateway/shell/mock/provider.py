"""The scripted provider: a listener, its faults, its ledger, and what it answers to each request."""

from __future__ import annotations

import asyncio
import hmac
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import ceil
from random import Random
from typing import Any, Final, Self

import msgspec

from holdfast.gateway.core.settings import MockSettings
from holdfast.gateway.shell.mock import endpoints, orders, routes
from holdfast.gateway.shell.mock.admin import administer
from holdfast.gateway.shell.mock.answers import Asked, Frame, Turn, Unreadable, compose
from holdfast.gateway.shell.mock.anthropic import AnthropicMessages
from holdfast.gateway.shell.mock.bedrock import BedrockConverse
from holdfast.gateway.shell.mock.completions import OpenAICompletions
from holdfast.gateway.shell.mock.connection import Connection
from holdfast.gateway.shell.mock.delivery import Delivery
from holdfast.gateway.shell.mock.faults import Fault, FaultPlan, parse_fault
from holdfast.gateway.shell.mock.gemini import Gemini
from holdfast.gateway.shell.mock.ledger import Entry, MockLedger
from holdfast.gateway.shell.mock.openai import OpenAIChat
from holdfast.gateway.shell.mock.orders import BadOrder, Orders
from holdfast.gateway.shell.mock.responses import OpenAIResponses
from holdfast.gateway.shell.mock.shaping import shape
from holdfast.gateway.shell.mock.wheel import TimerWheel
from holdfast.gateway.shell.mock.wire import Wire
from holdfast.http1 import BadMessage, RequestHead

_FIELD: Final = re.compile(
    rb"^(x-mock|x-holdfast-attempt|authorization|x-api-key|api-key|x-goog-api-key): *([^\r]*)\r$",
    re.IGNORECASE | re.MULTILINE,
)
_CREDENTIAL: Final = re.compile(r"Credential=([^/,\s]+)")
_REASON: Final = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    529: b"Overloaded",
}
_HTML: Final = b"<!DOCTYPE html><html><head><title>Oops</title></head><body><h1>Bad gateway</h1></body></html>\n"
_JSON: Final = b"application/json"
_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n%b\r\n"
)
_BACKLOG: Final = 4096
_CLOSE_S: Final = 2.0
_REFUSED_AT_MOST_S: Final = 600.0
_decode: Final = msgspec.json.Decoder().decode


class MockProvider:
    """A provider of models on loopback. Use with ``async with``, or :meth:`start` and :meth:`close`."""

    def __init__(self, settings: MockSettings | None = None, *, faults: Iterable[Fault] = ()) -> None:
        """Raises :class:`BadOrder` when a fault of the settings cannot be read."""
        self.settings = settings if settings is not None else MockSettings(listen="127.0.0.1:0")
        self.plan = FaultPlan(Random(self.settings.seed), [parse_fault(text) for text in self.settings.faults])
        self.plan.faults.extend(faults)
        self.ledger = MockLedger()
        self.wires: Mapping[str, Wire] = {
            wire.name: wire
            for wire in (
                OpenAIChat(),
                OpenAIResponses(),
                OpenAICompletions(),
                AnthropicMessages(),
                Gemini(),
                BedrockConverse(),
            )
        }
        self._keys = [key.encode() for key in self.settings.keys]
        self._host, _, port = self.settings.listen.rpartition(":")
        self._host = self._host.strip("[]")
        self._port = int(port)
        self._server: asyncio.Server | None = None
        self._open: set[Connection] = set()
        self._pause: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop
        self.wheel: TimerWheel

    async def __aenter__(self) -> Self:
        """Listen."""
        await self.start()
        return self

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        """Close."""
        await self.close()

    @property
    def port(self) -> int:
        """Where it listens; the same after :meth:`refuse`."""
        return self._port

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a version."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def connections(self) -> int:
        """Open ones."""
        return len(self._open)

    async def start(self) -> None:
        """Listen. Raises ``OSError`` when the address is taken."""
        self.loop = asyncio.get_running_loop()
        self.wheel = TimerWheel(self.loop)
        await self._listen()

    async def close(self) -> None:
        """Close the listener and all connections."""
        if self._pause is not None:
            self._pause.cancel()
            await asyncio.wait([self._pause], timeout=_CLOSE_S)
            self._pause = None
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._open):
            connection.end(reset=True)
        deadline = self.loop.time() + _CLOSE_S
        while self._open and self.loop.time() < deadline:  # noqa: ASYNC110 - a turn or two of the loop
            await asyncio.sleep(0)
        self.wheel.close()
        self._server = None

    async def _listen(self) -> None:
        self._server = await self.loop.create_server(
            lambda: Connection(self), self._host, self._port, backlog=_BACKLOG, reuse_address=True
        )
        self._port = self._server.sockets[0].getsockname()[1]

    def refuse(self, seconds: float) -> None:
        """Refuse connections for a while: the listener is closed, and so are connections with nothing to do."""
        if self._server is None or (self._pause is not None and not self._pause.done()):
            return
        self._server.close()
        for connection in tuple(self._open):
            if connection.idle:
                connection.end(reset=False)
        self._pause = self.loop.create_task(self._listen_after(min(seconds, _REFUSED_AT_MOST_S)))

    async def _listen_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._listen()

    # What connections call.

    def connected(self, connection: Connection) -> None:
        """A client is here."""
        self._open.add(connection)
        self.ledger.connections += 1

    def disconnected(self, connection: Connection) -> None:
        """It is gone."""
        self._open.discard(connection)

    def bad_message(self, error: BadMessage) -> bytes:
        """The answer to what is no HTTP."""
        body = self.wires["openai"].error(error.status, str(error))
        return head_of(error.status, _JSON, len(body), b"connection: close\r\n") + body

    def serve(self, connection: Connection, head: RequestHead, body: bytes) -> None:
        """Answer one request."""
        if head.target.startswith(b"/mock/"):
            status, kind, answer = administer(self, head, body, trusted=connection.trusted)
            connection.write(head_of(status, kind, len(answer)) + answer)
            connection.answered()
            return
        sent = {match[1].lower(): match[2].decode("latin-1") for match in _FIELD.finditer(head.block)}
        attempt = sent.get(b"x-holdfast-attempt") or head.owned.get(b"x-request-id", b"").decode("latin-1")
        route = routes.route(head.method, head.target)
        if route is None:
            entry = self._entry(attempt, "openai", "unknown", "")
            self._refuse(connection, entry, self.wires["openai"], 404, "no such endpoint: mind the method and the path")
            return
        wire = self.wires[route.protocol]
        try:
            given = self._body(route, body)
        except (Unreadable, msgspec.DecodeError, UnicodeError, RecursionError) as error:
            entry = self._entry(attempt, route.protocol, route.kind, route.model)
            self._refuse(connection, entry, wire, 400, f"the body cannot be read: {error}")
            return
        named = given.get("model")
        named = named if isinstance(named, str) and named else route.model
        model, _, in_model = named.partition("@")
        entry = self._entry(attempt, route.protocol, route.kind, model)
        if self._keys and not self._authorized(sent, route.key):
            self._refuse(connection, entry, wire, 401, "invalid api key")
            return
        try:
            self._answer(connection, entry, route, given, named, (in_model, sent.get(b"x-mock", "")))
        except (Unreadable, BadOrder) as error:
            self._refuse(connection, entry, wire, 400, str(error))

    def _entry(self, attempt: str, protocol: str, kind: str, model: str) -> Entry:
        return self.ledger.open(attempt, protocol, kind, model, now=time.monotonic(), wall=time.time())

    def _body(self, route: routes.Route, body: bytes) -> dict[str, Any]:
        if route.kind == "transcriptions":
            return endpoints.multipart(body)
        if route.kind in ("models", "model"):
            return {}
        given = _decode(body)
        if not isinstance(given, dict):
            raise Unreadable("it must be a JSON object")
        return given

    def _authorized(self, sent: Mapping[bytes, str], in_query: str) -> bool:
        bearer = sent.get(b"authorization", "")
        credential = _CREDENTIAL.search(bearer)
        candidates = [credential[1] if credential else bearer.removeprefix("Bearer "), in_query]
        candidates += [sent.get(name, "") for name in (b"x-api-key", b"api-key", b"x-goog-api-key")]
        found = False
        for candidate in candidates:
            for key in self._keys:
                found |= hmac.compare_digest(candidate.encode(), key)
        return found

    def _answer(
        self,
        connection: Connection,
        entry: Entry,
        route: routes.Route,
        given: dict[str, Any],
        named: str,
        texts: tuple[str, str],
    ) -> None:
        wire = self.wires[route.protocol]
        asked: Asked | None = None
        in_text = ""
        if route.kind == "chat":
            asked = _read(wire, given, named)
            asked.stream |= route.stream
            asked.text, in_text = orders.in_text(asked.text)
            entry.stream = asked.stream
            entry.prompt_tokens = asked.prompt_tokens
        told = self._orders(entry, (texts[1], texts[0], in_text))
        if told.drop:
            self.ledger.close(entry, "cut", now=time.monotonic())
            connection.end(reset=True)
        elif told.status:
            message = f"the mock was told to answer {told.status}"
            self._refuse(connection, entry, wire, told.status, message, told)
        elif told.html:
            entry.prompt_tokens = 0  # what stands in front of a provider charges for nothing
            self._whole(connection, entry, told.html, b"text/html", _HTML, told, 0, b"")
        elif asked is None:
            answer = endpoints.answer(route, wire, given, named, self.settings.models)
            entry.prompt_tokens = answer.prompt_tokens
            fields = wire.fields(entry.number, answer.status)
            self._whole(connection, entry, answer.status, answer.kind, answer.body, told, 0, fields)
        else:
            turn = compose(
                asked,
                told,
                number=entry.number,
                created=int(entry.wall),
                seed=self.settings.seed,
                most_tokens=self.settings.max_tokens,
            )
            entry.cached, entry.cache_write = turn.cached, turn.cache_write
            entry.reasoning = len(turn.thoughts) * asked.choices
            if told.wrong_protocol:
                wire = self.wires["openai" if route.protocol == "anthropic" else "anthropic"]
            if asked.stream:
                self._stream(connection, entry, wire, turn, told)
            else:
                body = wire.whole(turn)
                if told.malformed:
                    body = body[: len(body) // 2]
                fields = wire.fields(entry.number, 200)
                self._whole(connection, entry, 200, _JSON, body, told, turn.tokens * asked.choices, fields)

    def _orders(self, entry: Entry, texts: tuple[str, str, str]) -> Orders:
        """From the plan, the field, the model name and the text, in this order."""
        plan = self.plan.draw(entry.model) if self.plan.faults else []
        if not plan and not any(texts):
            return orders.PLAIN
        entry.fault = " ".join([*(fault.text for fault in plan), *(text for text in texts if text)])
        return orders.build(*(fault.orders for fault in plan), *(orders.parse(text) for text in texts if text))

    def _refuse(
        self,
        connection: Connection,
        entry: Entry,
        wire: Wire,
        status: int,
        message: str,
        told: Orders = orders.PLAIN,
    ) -> None:
        fields = wire.fields(entry.number, status)
        if told.retry_after is not None:
            seconds, milliseconds = ceil(told.retry_after), round(told.retry_after * 1000)
            fields += b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (seconds, milliseconds)
        body = wire.error(status, message, told.retry_after)
        self._whole(connection, entry, status, _JSON, body, told, 0, fields)

    def _whole(
        self,
        connection: Connection,
        entry: Entry,
        status: int,
        kind: bytes,
        body: bytes,
        told: Orders,
        tokens: int,
        fields: bytes,
    ) -> None:
        """Send an answer in one piece; it is there when its last token is."""
        entry.status = status
        pace, first = self._pace(told)
        wait = told.slow_head + (first + (tokens / pace if pace else 0.0) if status == 200 else 0.0)
        head = head_of(status, kind, len(body), fields)
        frames: Iterator[Frame] = iter(((body, tokens),))
        if told is not orders.PLAIN:
            frames = shape(frames, told, None)
        connection.delivery = Delivery(connection, entry, head, frames, chunked=False, period=0.0, until_first=0.0)
        connection.delivery.begin(wait, told.drip_head)

    def _stream(self, connection: Connection, entry: Entry, wire: Wire, turn: Turn, told: Orders) -> None:
        entry.status = 200
        pace, first = self._pace(told)
        head = _STREAM_HEAD % (wire.stream_type, wire.fields(entry.number, 200))
        frames = wire.frames(turn)
        if told is not orders.PLAIN:
            frames = shape(frames, told, wire)
        period = 1.0 / pace if pace else 0.0
        connection.delivery = Delivery(connection, entry, head, frames, chunked=True, period=period, until_first=first)
        connection.delivery.begin(told.slow_head, told.drip_head)

    def _pace(self, told: Orders) -> tuple[float, float]:
        """Tokens per second, and seconds before the first."""
        settings = self.settings
        pace = settings.tokens_per_s if told.pace is None else told.pace
        first = float(settings.first_token) if told.first_token is None else told.first_token
        return max(0.0, pace), first


def _read(wire: Wire, given: dict[str, Any], named: str) -> Asked:
    """What is asked. Raises :class:`Unreadable`, also for a field whose type nobody expects there."""
    try:
        return wire.read(given, named)
    except (AttributeError, TypeError, ValueError, LookupError, RecursionError) as error:
        raise Unreadable(f"a field has the wrong type: {error}") from error


def head_of(status: int, kind: bytes, length: int, extra: bytes = b"") -> bytes:
    """The head of an answer with a known length; ``extra`` is whole lines."""
    reason = _REASON.get(status, b"Status")
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n" % (
        status,
        reason,
        kind,
        length,
        extra,
    )


async def serve_mock(settings: MockSettings, *, ready: Callable[[str], None], faults: Iterable[Fault] = ()) -> int:
    """Run until SIGTERM or SIGINT. ``ready`` is told the address once. Raises ``OSError`` when it is taken."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with MockProvider(settings, faults=faults) as provider:
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, stop.set)
        try:
            ready(provider.url)
            await stop.wait()
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
    return 0
