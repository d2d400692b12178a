"""Many interleaved requests over few connections to faulty backends: every answer belongs to its request.

Everything random comes from a seed, except the timing of the network; a failure names the seed.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from random import Random

import pytest

from holdfast.proxy import EdgePolicy, PoolPolicy
from holdfast.testing import Answer, ProxyUnderTest, RawClient, ScriptedUpstream, Visit, eventually, proxied

REQUESTS = 2000
CLIENTS = 20
PIPELINED = 4


class Faulty:
    """Echoes the id of each request in a random framing, after or instead of a random fault."""

    def __init__(self, rng: Random, faults: float) -> None:
        self._rng = rng
        self._faults = faults

    async def __call__(self, visit: Visit) -> None:
        rng = self._rng
        ident = visit.target[1:]
        if rng.random() < self._faults:
            fault = rng.randrange(6)
            if fault == 0:
                visit.reset()
                return
            if fault == 1:
                visit.close()
                return
        else:
            fault = -1
        body = ident + await visit.read_body()
        if fault == 2:
            await visit.send(b"HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nbusy")
        elif fault == 3:
            await visit.send(b"HTTP/1.1 200 OK\r\nX-Echo: %b\r\nContent-Length: 1000\r\n\r\nhalf" % ident)
            visit.reset()
        elif fault == 4:
            await visit.send(b"HTTP/1.1 200 OK\r\nX-Echo: %b\r\n" % ident)
            visit.reset()
        elif fault == 5:
            # Too much, in the same breath: a second answer that belongs to nobody.
            evil = b"HTTP/1.1 200 OK\r\nX-Echo: evil\r\nContent-Length: 4\r\n\r\nevil"
            await visit.send(self._framed(visit, ident, body, may_close=False) + evil)
        else:
            wire = self._framed(visit, ident, body)
            cut = rng.randrange(1, len(wire))
            await visit.send(wire[:cut], wire[cut:])
            if b"\r\nConnection: close" in wire or (b"\r\nContent-Length" not in wire and b"chunked" not in wire):
                visit.close()

    def _framed(self, visit: Visit, ident: bytes, body: bytes, *, may_close: bool = True) -> bytes:
        head = b"HTTP/1.1 200 OK\r\nX-Echo: %b\r\n" % ident
        if self._rng.random() < 0.2:
            head = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + head
        if visit.method == b"HEAD":
            return head + b"Content-Length: %d\r\n\r\n" % len(body)
        framing = self._rng.randrange(4 if may_close else 2)
        if framing == 0:
            return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        if framing == 1:
            middle = len(body) // 2
            chunks = b"".join(
                b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:middle], body[middle:]) if piece
            )
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        if framing == 2:
            return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        return head + b"\r\n" + body


class Asking:
    """One client: sends requests with ids of its own, a few ahead, and checks every answer."""

    def __init__(self, proxy: ProxyUnderTest, rng: Random, name: int, count: int) -> None:
        self._proxy = proxy
        self._rng = rng
        self._idents = [b"%d-%d" % (name, number) for number in range(count)]
        self.seen: Counter[str] = Counter()
        self.posted: list[bytes] = []

    async def run(self) -> None:
        left = list(self._idents)
        while left:
            async with await self._proxy.connect() as client:
                while left:
                    batch = [(ident, *self._request(ident)) for ident in left[: self._rng.randint(1, PIPELINED)]]
                    settled, alive = await self._ask(client, batch)
                    del left[:settled]
                    if not alive:
                        break

    def _request(self, ident: bytes) -> tuple[bytes, bytes, bytes]:
        method = self._rng.choice([b"GET", b"GET", b"HEAD", b"PUT", b"POST", b"DELETE"])
        head = b"%b /%b HTTP/1.1\r\nHost: a\r\nX-Request-Id: %b\r\n" % (method, ident, ident)
        if method not in (b"PUT", b"POST"):
            return method, b"", head + b"\r\n"
        body = b"." * self._rng.randrange(2000)
        if self._rng.random() < 0.5:
            return method, body, head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        chunks = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return method, body, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"

    async def _ask(self, client: RawClient, batch: list[tuple[bytes, bytes, bytes, bytes]]) -> tuple[int, bool]:
        """How many of the batch must not be asked again, and whether the connection lives."""
        wire = b"".join(request for *_, request in batch)
        cut = self._rng.randrange(1, len(wire))
        try:
            await client.send(wire[:cut], wire[cut:])
            for number, (ident, method, body, _) in enumerate(batch):
                got = await self._answer(client, to_head=method == b"HEAD")
                self._check(got, ident, method, body)
                if got.field(b"connection") == b"close":
                    return number + 1, False  # those behind it were not begun
        except (EOFError, ConnectionError):
            self.seen["cut"] += 1
            return len(batch), False  # nobody knows which of them were begun
        return len(batch), True

    @staticmethod
    async def _answer(client: RawClient, *, to_head: bool) -> Answer:
        while (got := await client.answer(to_head=to_head)).status == 103:
            pass
        return got

    def _check(self, got: Answer, ident: bytes, method: bytes, body: bytes) -> None:
        assert got.field(b"x-request-id") == ident
        self.seen[str(got.status)] += 1
        if got.status == 200:
            assert got.field(b"x-echo") == ident
            assert got.body == (b"" if method == b"HEAD" else ident + body)
        elif got.body == b"busy" or method == b"HEAD":
            assert got.status in (502, 503, 504)
        else:
            error = json.loads(got.body)["error"]
            assert error["status"] == got.status
            assert error["request_id"].encode() == ident


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_answer_belongs_to_its_request(seed: int) -> None:
    rng = Random(seed)
    policy = PoolPolicy(
        per_try_timeout_s=1.0,
        max_in_flight_per_backend=3,
        queue_timeout_s=5.0,
        idle_connections=2,
        budget_floor_per_s=1000.0,
    )
    async with (
        ScriptedUpstream(Faulty(rng, 0.25)) as a,
        ScriptedUpstream(Faulty(rng, 0.25)) as b,
        ScriptedUpstream(Faulty(rng, 0.0)) as c,
        proxied(a, b, c, policy=policy, edge=EdgePolicy(log_sample=None), strategy="p2c", seed=seed) as proxy,
    ):
        clients = [Asking(proxy, rng, name, REQUESTS // CLIENTS) for name in range(CLIENTS)]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.run())
        seen = sum((client.seen for client in clients), Counter())
        assert seen["200"] > REQUESTS * 0.6, seen
        assert seen["cut"] > 0, "half an answer was seen to be half"
        visits = [*a.visits, *b.visits, *c.visits]
        posts = Counter(visit.target for visit in visits if visit.method == b"POST")
        assert posts
        assert max(posts.values()) == 1, "a POST reached a backend more than once"
        assert max(len(upstream.connections) for upstream in (a, b, c)) < REQUESTS
        await eventually(lambda: not proxy.engine.clients)
