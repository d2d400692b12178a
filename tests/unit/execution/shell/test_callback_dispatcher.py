"""Who is called when, and what is said of it to the outbox: no sockets, no store."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlsplit

import pytest

from holdfast.execution.core.callback import Attempt
from holdfast.execution.core.job import Compiled, Priority, Result, Status, Verdict
from holdfast.execution.core.ports import JobView
from holdfast.execution.core.settings import CallbackSettings
from holdfast.execution.shell.callbacks import Callbacks
from holdfast.execution.shell.callbacks.dispatcher import LEASE_S, OUTPUT_LIMIT
from holdfast.execution.shell.queue import Callback
from holdfast.identity import CallbackSecret
from holdfast.store import StoreUnavailable
from holdfast.testing import eventually

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
SETTINGS = CallbackSettings(attempts=3, concurrency=8)
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@dataclass
class Row:
    tenant: str
    url: str
    due: float
    attempts: int = 0


@dataclass
class Outbox:
    """What waits, in memory; it can be told to fail."""

    rows: dict[str, Row] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    down: bool = False
    looks: int = 0

    def put(self, job: str, tenant: str = "acme", url: str = "http://a.test/", due: float = NOW) -> None:
        self.rows[job] = Row(tenant, url, due)

    async def next_due(self) -> float | None:
        self.looks += 1
        self._up()
        return min((row.due for row in self.rows.values()), default=None)

    async def due(
        self, *, now: float, limit: int, lease_s: float, except_of: Collection[str] = ()
    ) -> Sequence[Callback]:
        self._up()
        ready = sorted(
            (row.due, job) for job, row in self.rows.items() if row.due <= now and row.tenant not in except_of
        )
        taken = []
        for _, job in ready[:limit]:
            row = self.rows[job]
            row.attempts, row.due = row.attempts + 1, now + lease_s
            taken.append(Callback(job=job, tenant=row.tenant, url=row.url, attempt=row.attempts))
        return taken

    async def delivered(self, callback: Callback) -> None:
        self._end(callback, "delivered")

    async def failed(self, callback: Callback, error: str, *, next_due: float) -> None:
        self._up()
        self.errors.append(error)
        self.rows[callback.job].due = next_due

    async def dead(self, callback: Callback, error: str) -> None:
        self._end(callback, f"dead: {error}")

    def _end(self, callback: Callback, how: str) -> None:
        self._up()
        del self.rows[callback.job]
        self.ends[callback.job] = how

    def _up(self) -> None:
        if self.down:
            raise StoreUnavailable("down")


@dataclass
class Sender:
    """Answers at once, or holds everything (of some hosts) until it is let go."""

    answers: list[Attempt] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    under_way: Counter[str] = field(default_factory=Counter)
    most: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        host = urlsplit(url).hostname or ""
        self.sent.append((url, headers, body))
        for name in (host, "all"):
            self.under_way[name] += 1
            self.most[name] = max(self.most[name], self.under_way[name])
        try:
            if host in self.held or "all" in self.held:
                await self.go.wait()
        finally:
            self.under_way.subtract((host, "all"))
        return self.answers.pop(0) if self.answers else Attempt(status=204)


@dataclass
class World:
    outbox: Outbox = field(default_factory=Outbox)
    sender: Sender = field(default_factory=Sender)
    now: float = NOW
    removed: set[str] = field(default_factory=set)
    secrets: list[str] = field(default_factory=lambda: [SECRET])
    result: Result | None = None
    rendered: list[JobView] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.callbacks = Callbacks(
            self.outbox,
            self.sender,
            SETTINGS,
            job=self._job,
            render=self._render,
            secrets=self._secrets,
            rng=Random(1),
            clock=lambda: self.now,
        )

    def _render(self, job: JobView) -> bytes:
        self.rendered.append(job)
        return f'{{"id": "{job.id}"}}'.encode()

    async def _job(self, tenant: str, id: str) -> JobView | None:
        if id in self.removed:
            return None
        return JobView(
            id=id,
            tenant=tenant,
            status=Status.FINISHED,
            language="python",
            priority=Priority.NORMAL,
            submitted=NOW - 10,
            finished=NOW,
            result=self.result,
        )

    async def _secrets(self, tenant: str, *, now: float) -> Sequence[CallbackSecret]:
        return [CallbackSecret(text=text, created=NOW, expires=None) for text in self.secrets]

    async def settled(self) -> None:
        """Until nothing that is due is left."""
        self.callbacks.wake()
        await eventually(
            lambda: not self.callbacks.under_way and not any(row.due <= self.now for row in self.outbox.rows.values())
        )


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    loop = asyncio.create_task(world.callbacks.run())
    try:
        yield world
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def test_a_due_call_is_made_once_and_struck_off() -> None:
    async with running() as world:
        world.outbox.put("j1", url="http://a.test/x")
        await world.settled()
        assert world.outbox.ends == {"j1": "delivered"}
        ((url, _, body),) = world.sender.sent
        assert (url, body) == ("http://a.test/x", b'{"id": "j1"}')
        assert world.callbacks.outcomes == {"delivered": 1}


async def test_a_call_is_signed_so_that_a_receiver_can_check_it_with_any_secret_that_is_good() -> None:
    async with running() as world:
        other = "whsec_" + base64.b64encode(b"f" * 32).decode()
        world.secrets = [SECRET, other]
        world.outbox.put("j1")
        await world.settled()
        ((_, headers, body),) = world.sender.sent
        assert headers["Content-Type"] == "application/json"
        assert headers["webhook-timestamp"] == str(int(NOW))
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = [
            "v1,"
            + base64.b64encode(
                hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
            ).decode()
            for secret in (SECRET, other)
        ]
        assert headers["webhook-signature"].split() == expected


async def test_a_failed_call_is_made_again_with_the_same_id_and_a_new_time() -> None:
    async with running() as world:
        world.sender.answers = [Attempt(status=500), Attempt(status=200)]
        world.outbox.put("j1")
        await world.settled()
        assert world.outbox.errors == ["answered 500"]
        assert NOW < world.outbox.rows["j1"].due <= NOW + SETTINGS.backoff_min
        world.now += 100
        await world.settled()
        assert world.outbox.ends == {"j1": "delivered"}
        first, second = (headers for _, headers, _ in world.sender.sent)
        assert first["webhook-id"] == second["webhook-id"]
        assert first["webhook-timestamp"] != second["webhook-timestamp"]
        assert world.callbacks.outcomes == {"failed": 1, "delivered": 1}


async def test_no_call_is_made_before_a_retry_after_is_over() -> None:
    async with running() as world:
        world.sender.answers = [Attempt(status=503, retry_after_s=50.0)]
        world.outbox.put("j1")
        await world.settled()
        assert world.outbox.rows["j1"].due == NOW + 50
        world.now += 49
        await world.settled()
        assert len(world.sender.sent) == 1


async def test_when_its_attempts_are_used_up_a_call_is_a_dead_letter() -> None:
    async with running() as world:
        world.sender.answers = [Attempt(failure="no answer")] * 3
        world.outbox.put("j1")
        for _ in range(4):
            await world.settled()
            world.now += 1000
        assert world.outbox.ends == {"j1": "dead: no answer"}
        assert len(world.sender.sent) == 3
        assert world.callbacks.outcomes == {"failed": 2, "dead": 1}


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://localhost/", "ftp://a.test/"])
async def test_what_may_not_be_called_is_dead_at_once_and_nothing_is_sent(url: str) -> None:
    async with running() as world:
        world.outbox.put("j1", url=url)
        await world.settled()
        assert world.outbox.ends["j1"].startswith("dead: ")
        assert world.sender.sent == []


async def test_a_job_that_was_removed_is_not_called_back() -> None:
    async with running() as world:
        world.removed.add("j1")
        world.outbox.put("j1")
        await world.settled()
        assert world.outbox.ends == {"j1": "dead: the job was removed before it could be called back"}
        assert world.sender.sent == []


async def test_a_callback_carries_the_beginning_of_a_long_output_and_says_so() -> None:
    async with running() as world:
        compiled = Compiled(
            exit_code=0,
            signal=None,
            stdout=b"",
            stderr=b"w" * 2 * OUTPUT_LIMIT,
            truncated=False,
            cpu_ms=1,
            wall_ms=1,
            memory_bytes=1,
            cached=False,
        )
        world.result = Result(
            verdict=Verdict.OK, stdout=b"x" * 16 * OUTPUT_LIMIT, stderr=b"y" * OUTPUT_LIMIT, compiled=compiled
        )
        world.outbox.put("j1")
        await world.settled()
        result = world.rendered[0].result
        assert result is not None
        assert result.compiled is not None
        assert (len(result.stdout), result.stdout_truncated) == (OUTPUT_LIMIT, True)
        assert (len(result.stderr), result.stderr_truncated) == (OUTPUT_LIMIT, False)
        assert (len(result.compiled.stderr), result.compiled.truncated) == (OUTPUT_LIMIT, True)


# ---------------------------------------------------------------- nobody holds up another


async def test_a_slow_host_holds_up_no_other_tenant() -> None:
    async with running() as world:
        world.sender.held = {"slow.test"}
        for n in range(50):
            world.outbox.put(f"slow{n}", "slow", "http://slow.test/", due=NOW - 100)
        for n in range(20):
            world.outbox.put(f"quick{n}", "quick", f"http://quick{n % 5}.test/")
        world.callbacks.wake()
        await eventually(lambda: sum(how == "delivered" for how in world.outbox.ends.values()) == 20)
        assert all(job.startswith("quick") for job in world.outbox.ends)
        assert world.sender.most["slow.test"] == SETTINGS.concurrency // 4
        world.sender.go.set()
        await world.settled()
        assert len(world.outbox.ends) == 70


async def test_a_tenant_with_many_slow_hosts_has_half_of_the_places() -> None:
    async with running() as world:
        world.sender.held = {f"slow{n}.test" for n in range(50)}
        for n in range(50):
            world.outbox.put(f"slow{n}", "slow", f"http://slow{n}.test/", due=NOW - 100)
        world.outbox.put("quick", "quick", "http://quick.test/")
        world.callbacks.wake()
        await eventually(lambda: "quick" in world.outbox.ends)
        assert world.sender.most["all"] <= SETTINGS.concurrency // 2 + 1
        world.sender.go.set()
        await world.settled()


async def test_no_more_calls_are_under_way_than_are_allowed() -> None:
    async with running() as world:
        world.sender.held = {"all"}
        for n in range(100):
            world.outbox.put(f"j{n}", f"t{n}", f"http://h{n}.test/")
        world.callbacks.wake()
        await eventually(lambda: world.sender.under_way["all"] == SETTINGS.concurrency)
        assert world.callbacks.under_way <= 2 * SETTINGS.concurrency
        world.sender.go.set()
        await world.settled()
        assert world.sender.most["all"] == SETTINGS.concurrency
        assert len(world.outbox.ends) == 100


async def test_a_call_whose_turn_comes_when_its_lease_is_about_to_end_is_left_for_the_next_lease() -> None:
    async with running() as world:
        world.sender.held = {"slow.test"}
        for n in range(4):
            world.outbox.put(f"j{n}", "acme", "http://slow.test/")
        world.callbacks.wake()
        await eventually(lambda: world.sender.under_way["slow.test"] == 2)
        await eventually(lambda: world.callbacks.under_way == 4)
        world.now += LEASE_S - 1
        world.sender.go.set()
        await eventually(lambda: world.callbacks.under_way == 0)
        assert len(world.outbox.ends) == 2
        assert len(world.sender.sent) == 2
        world.now += 1
        await world.settled()
        assert len(world.outbox.ends) == 4


# ---------------------------------------------------------------- failures of ours


async def test_a_store_that_is_away_for_a_while_loses_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.execution.shell.callbacks.dispatcher.POLL_S", 0.01)
    async with running() as world:
        world.outbox.down = True
        world.outbox.put("j1")
        world.callbacks.wake()
        await eventually(lambda: world.outbox.looks >= 2)
        world.outbox.down = False
        await world.settled()
        assert world.outbox.ends == {"j1": "delivered"}


async def test_an_outbox_that_fails_in_an_unforeseen_way_does_not_end_the_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("holdfast.execution.shell.callbacks.dispatcher.POLL_S", 0.01)
    async with running() as world:
        good, world.outbox.due = world.outbox.due, None  # type: ignore[method-assign,assignment]
        world.outbox.put("j1")
        world.callbacks.wake()
        await eventually(lambda: "TypeError" in caplog.text)
        world.outbox.due = good  # type: ignore[method-assign]
        await world.settled()
        assert world.outbox.ends == {"j1": "delivered"}


async def test_a_delivery_that_could_not_be_noted_is_made_again_after_the_lease() -> None:
    async with running() as world:
        world.sender.held = {"a.test"}
        world.outbox.put("j1")
        world.callbacks.wake()
        await eventually(lambda: world.sender.sent)
        world.outbox.down = True
        world.sender.go.set()
        await eventually(lambda: world.callbacks.under_way == 0)
        world.outbox.down = False
        world.now += LEASE_S
        await world.settled()
        assert world.outbox.ends == {"j1": "delivered"}
        first, second = (headers["webhook-id"] for _, headers, _ in world.sender.sent)
        assert first == second, "by which the receiver knows that it has it"


async def test_a_job_that_cannot_be_rendered_hurts_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as world:
        broken = world.callbacks._render
        world.callbacks._render = lambda job: 1 / 0 if job.id == "j1" else broken(job)  # type: ignore[assignment,return-value]
        world.outbox.put("j1")
        world.outbox.put("j2")
        await world.settled()
        assert world.outbox.ends == {"j2": "delivered"}
        assert "ZeroDivisionError" in caplog.text


async def test_stopping_cuts_off_what_is_under_way_and_leaves_it_leased() -> None:
    async with running() as world:
        world.sender.held = {"a.test"}
        world.outbox.put("j1")
        world.callbacks.wake()
        await eventually(lambda: world.sender.sent)
    assert world.callbacks.under_way == 0
    assert world.outbox.rows["j1"].due == NOW + LEASE_S


async def test_an_empty_outbox_is_only_looked_at_now_and_then() -> None:
    async with running() as world:
        await eventually(lambda: world.outbox.looks == 1)
        for _ in range(100):
            await asyncio.sleep(0)
        assert world.outbox.looks == 1
