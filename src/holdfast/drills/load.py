"""Open-loop load: requests leave when the plan says so, not when the last answer came.

A closed loop slows down with the server that it measures and so hides the very delays
that matter (coordinated omission: Tene, "How NOT to Measure Latency", 2013). Here every
latency counts from the *intended* moment of sending, so a stall is charged to all the
requests that it held up.

The generator can itself be what is late. It therefore records the lag between intended
and actual sending, and its own CPU time; a drill reports both beside its results.
"""

from __future__ import annotations

import asyncio
import enum
import gc
import random
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, Literal, cast

import httptools

from holdfast.drills.errors import DrillError

_TICK_S: Final = 0.001
"""Shortest pause between two looks at the plan: the resolution of libuv's timers, and what
bounds the generator's own lag at about two of them on an idle machine."""


class Outcome(enum.IntEnum):
    """What a client saw of one request. Everything but ``OK`` is a client-visible error."""

    PENDING = 0
    OK = 1
    """A complete answer with a 2xx status."""
    STATUS = 2
    """A complete answer with another status."""
    RESET = 3
    """The connection was reset before the answer began."""
    CLOSED = 4
    """The connection was closed before the answer began."""
    TRUNCATED = 5
    """The connection ended within an answer."""
    MALFORMED = 6
    """The answer is not HTTP."""
    TIMEOUT = 7
    """No complete answer within the deadline."""
    REFUSED = 8
    """No connection could be made."""
    UNSENT = 9
    """The generator ran out of connections: its own fault, and it invalidates the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send, fixed by the seed before the first request leaves."""

    rate_per_s: float
    duration_s: float
    seed: int
    arrivals: Literal["poisson", "constant"] = "poisson"
    post_share: float = 0.0
    """Share of requests that are POST with a small body, and so must not be repeated."""
    deadline_s: float = 10.0
    """From the intended moment to the complete answer."""
    connections: int = 4096
    """Bound of simultaneous connections. A request never waits for one below it."""
    first_id: int = 0
    """Requests are numbered from here in ``X-Drill-Id``."""
    path: str = "/drill"
    request: bytes | None = None
    """What is sent instead, as it is."""

    def arrivals_s(self) -> array[float]:
        """Intended moments of sending, in seconds from the start; deterministic."""
        if self.rate_per_s <= 0 or self.duration_s <= 0:
            raise DrillError(f"a plan needs a rate and a duration, not {self.rate_per_s}/s for {self.duration_s} s")
        if self.arrivals == "constant":
            count = int(self.rate_per_s * self.duration_s)
            return array("d", (number / self.rate_per_s for number in range(count)))
        rng = random.Random(f"{self.seed}/arrivals")
        moments = array("d")
        moment = rng.expovariate(self.rate_per_s)
        while moment < self.duration_s:
            moments.append(moment)
            moment += rng.expovariate(self.rate_per_s)
        return moments

    def posts(self, count: int) -> bytes:
        """For each of ``count`` requests, 1 if it is a POST; deterministic."""
        rng = random.Random(f"{self.seed}/methods")
        return bytes(rng.random() < self.post_share for _ in range(count))


@dataclass(slots=True, kw_only=True)
class LoadResult:
    """What happened to each request, by its index in the plan. Times are seconds from ``started``."""

    plan: Plan
    started: float
    """Monotonic clock of the machine."""
    intended: array[float]
    sent: array[float]
    done: array[float]
    outcome: bytearray
    status: array[int]
    is_post: bytes
    cpu_s: float = 0.0
    """CPU time of the generator's process during the run."""

    def __len__(self) -> int:
        return len(self.intended)

    def latency_ms(self) -> list[float]:
        """Of the answers with 2xx, from the intended moment of sending."""
        return [
            (done - intended) * 1e3
            for intended, done, outcome in zip(self.intended, self.done, self.outcome, strict=True)
            if outcome == Outcome.OK
        ]

    def service_ms(self) -> list[float]:
        """Of the answers with 2xx, from the actual sending: for additions smaller than the generator's own lag."""
        return [
            (done - sent) * 1e3
            for sent, done, outcome in zip(self.sent, self.done, self.outcome, strict=True)
            if outcome == Outcome.OK
        ]

    def lag_ms(self) -> list[float]:
        """How late the generator turned to each request (a connection that it then had to open is not counted)."""
        return [(sent - intended) * 1e3 for intended, sent in zip(self.intended, self.sent, strict=True)]

    def errors(self, *, posts: bool | None = None) -> int:
        """Client-visible errors; only of POSTs, or only of others, if asked."""
        return sum(
            outcome != Outcome.OK and (posts is None or bool(post) == posts)
            for outcome, post in zip(self.outcome, self.is_post, strict=True)
        )

    def outcomes(self) -> dict[str, int]:
        """Counts by kind: ``ok``, ``status 503``, ``reset`` and so on."""
        counts: Counter[str] = Counter()
        for outcome, status in zip(self.outcome, self.status, strict=True):
            kind = Outcome(outcome)
            counts[f"status {status}" if kind is Outcome.STATUS else kind.name.lower()] += 1
        return dict(sorted(counts.items()))

    def answered_within(self, start_s: float, stop_s: float) -> int:
        """Answers with 2xx that were complete within a part of the run."""
        return sum(
            outcome == Outcome.OK and start_s <= done < stop_s
            for done, outcome in zip(self.done, self.outcome, strict=True)
        )

    def post_ids(self) -> set[int]:
        """``X-Drill-Id`` of every POST."""
        first = self.plan.first_id
        return {first + index for index, post in enumerate(self.is_post) if post}


@dataclass(slots=True)
class _Flight:
    """A request between its sending and its end."""

    index: int
    deadline: float
    client: _Client | None = field(default=None)
    over: bool = False


class _Client(asyncio.Protocol):
    """A keep-alive connection with at most one request in flight."""

    __slots__ = ("_began", "_load", "_parser", "flight", "transport")

    def __init__(self, load: OpenLoop) -> None:
        self._load = load
        self._parser = httptools.HttpResponseParser(self)
        self._began = False
        self.flight: _Flight | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, flight: _Flight, data: bytes) -> None:
        flight.client = self
        self.flight = flight
        self._began = False
        if self.transport is not None:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._began = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._finish(Outcome.MALFORMED)
            self.abandon()

    def on_message_complete(self) -> None:
        flight, self.flight = self.flight, None
        if flight is None:  # an answer that nobody asked for
            self.abandon()
            return
        status = self._parser.get_status_code()
        self._load.finish(flight, Outcome.OK if 200 <= status < 300 else Outcome.STATUS, status)
        if self._parser.should_keep_alive() and self.transport is not None:
            self._load.idle.append(self)
        else:
            self.abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._load.forget(self)
        if self._began:
            self._finish(Outcome.TRUNCATED)
        else:
            self._finish(Outcome.CLOSED if exc is None else Outcome.RESET)

    def _finish(self, outcome: Outcome) -> None:
        flight, self.flight = self.flight, None
        if flight is not None:
            self._load.finish(flight, outcome, 0)

    def abandon(self) -> None:
        """Close without caring for what is in flight."""
        self.flight = None
        if self.transport is not None:
            self.transport.abort()


class OpenLoop:
    """One run of a plan against one address."""

    def __init__(self, plan: Plan, host: str, port: int) -> None:
        self.plan = plan
        self.idle: list[_Client] = []
        """Connections without a request; used last in, first out, so that few stay warm."""
        self._address = (host, port)
        self._clients: set[_Client] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._flights: deque[_Flight] = deque()
        """In order of deadline, which is the order of sending because all wait equally long."""
        intended = plan.arrivals_s()
        count = len(intended)
        zeros = array("d", bytes(8 * count))
        self.result = LoadResult(
            plan=plan,
            started=0.0,
            intended=intended,
            sent=zeros,
            done=array("d", zeros),
            outcome=bytearray(count),
            status=array("h", bytes(2 * count)),
            is_post=plan.posts(count),
        )
        self._next = 0
        self._open = count
        self._finished: asyncio.Future[None]
        self._loop: asyncio.AbstractEventLoop

    async def run(self) -> LoadResult:
        """Send everything, wait for every end. Takes the plan's duration plus at most its deadline."""
        self._loop = asyncio.get_running_loop()
        self._finished = self._loop.create_future()
        cpu = time.process_time()
        # A collection over everything that the drill holds would stop the generator for
        # tens of milliseconds; what this loop itself allocates is freed by reference count.
        gc.collect()
        gc.disable()
        self.result.started = time.monotonic()
        self._tick()
        try:
            async with asyncio.timeout(self.plan.duration_s + self.plan.deadline_s + 5.0):
                await self._finished
        except TimeoutError:
            raise DrillError("the load generator could not end its run; this rate is too high here") from None
        finally:
            gc.enable()
            for task in self._connecting:
                task.cancel()
            for client in tuple(self._clients):
                client.abandon()
        self.result.cpu_s = time.process_time() - cpu
        return self.result

    def stop(self) -> None:
        """Send nothing more; :meth:`run` returns when what is in flight has ended."""
        result, reached = self.result, self._next
        self._open -= len(result) - reached
        del result.intended[reached:], result.sent[reached:], result.done[reached:], result.status[reached:]
        del result.outcome[reached:]
        result.is_post = result.is_post[:reached]

    def _now(self) -> float:
        return time.monotonic() - self.result.started

    def _tick(self) -> None:
        intended = self.result.intended
        now = self._now()
        while self._next < len(intended) and intended[self._next] <= now:
            self._launch(self._next)
            self._next += 1
        while self._flights and (self._flights[0].over or self._flights[0].deadline <= now):
            flight = self._flights.popleft()
            if not flight.over:
                client = flight.client
                self.finish(flight, Outcome.TIMEOUT, 0)
                if client is not None:
                    client.abandon()
        if self._open == 0:
            if not self._finished.done():
                self._finished.set_result(None)
            return
        pause = intended[self._next] - self._now() if self._next < len(intended) else 10 * _TICK_S
        self._loop.call_later(min(max(pause, _TICK_S), 10 * _TICK_S), self._tick)

    def _launch(self, index: int) -> None:
        flight = _Flight(index, self.result.intended[index] + self.plan.deadline_s)
        self._flights.append(flight)
        self.result.sent[index] = self._now()
        while self.idle:
            client = self.idle.pop()
            if client.transport is not None and not client.transport.is_closing():
                self._send(client, flight)
                return
        if len(self._clients) + len(self._connecting) >= self.plan.connections:
            self.finish(flight, Outcome.UNSENT, 0)
            return
        task = self._loop.create_task(self._connect(flight))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, flight: _Flight) -> None:
        try:
            _, client = await self._loop.create_connection(lambda: _Client(self), *self._address)
        except OSError:
            self.finish(flight, Outcome.REFUSED, 0)
            return
        self._clients.add(client)
        if flight.over:
            self.idle.append(client)
        else:
            self._send(client, flight)

    def _send(self, client: _Client, flight: _Flight) -> None:
        if self.plan.request is not None:
            client.send(flight, self.plan.request)
            return
        index = flight.index
        number = self.plan.first_id + index
        path = self.plan.path.encode()
        if self.result.is_post[index]:
            method, rest = b"POST", b"Content-Length: 4\r\n\r\nbody"
        else:
            method, rest = b"GET", b"\r\n"
        client.send(flight, b"%s %s HTTP/1.1\r\nHost: drill\r\nX-Drill-Id: %d\r\n%s" % (method, path, number, rest))

    def finish(self, flight: _Flight, outcome: Outcome, status: int) -> None:
        """Record how a request ended; the first end counts."""
        if flight.over:
            return
        flight.over = True
        flight.client = None
        self.result.done[flight.index] = self._now()
        self.result.outcome[flight.index] = outcome
        self.result.status[flight.index] = status
        self._open -= 1

    def forget(self, client: _Client) -> None:
        """A connection is gone."""
        self._clients.discard(client)


async def run_plan(plan: Plan, *, port: int, host: str = "127.0.0.1") -> LoadResult:
    """Carry out a plan. Raises :class:`DrillError` when the generator itself broke down."""
    return await OpenLoop(plan, host, port).run()
