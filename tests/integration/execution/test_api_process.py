"""The API as a process of its own, on a real store: signals, crashes, floods of connections."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import sys
import time
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest

from holdfast.execution.core.protocol import Orders, Output, Receipt, Report, Sync, WireResult
from holdfast.identity import Identities, new_key
from holdfast.store import StoreSettings, open_database
from holdfast.web.listening import AddressError, listen
from tests.integration.execution.harness import HELLO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROGRAM = Path(__file__).with_name("api_process.py")
FLOOD = 10_000


@dataclass
class Process:
    """A running API."""

    process: asyncio.subprocess.Process
    url: str
    key: str
    worker_key: str
    session: aiohttp.ClientSession
    log: list[bytes] = field(default_factory=list)

    async def ask(self, method: str, path: str, **kwargs: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.url + path, headers={"X-API-Key": self.key}, **kwargs) as answer:
            return answer.status, await answer.json(content_type=None)

    async def work(self, name: str, message: Sync | Report) -> bytes:
        headers = {"X-API-Key": self.worker_key, "Content-Type": "application/msgpack"}
        url = f"{self.url}/internal/v1/{name}"
        async with self.session.post(url, headers=headers, data=msgspec.msgpack.encode(message)) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    async def ends(self, *, within_s: float = 10.0) -> int:
        return await asyncio.wait_for(self.process.wait(), within_s)


@asynccontextmanager
async def api(directory: Path, key: str = "") -> AsyncIterator[Process]:
    store, worker_key = f"sqlite:{directory}/store.db", new_key()
    if not key:
        database = await open_database(StoreSettings(url=store))
        identities = Identities(database)
        await identities.open()
        _, key = await identities.create_key("ada", role="owner", now=time.time())
        await identities.close()
        await database.close()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        store,
        worker_key,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        url = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()
        assert url, (await process.stderr.read()).decode()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            running = Process(process, url, key, worker_key, session)
            reading = asyncio.create_task(_lines(process.stderr, running.log))
            try:
                yield running
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()
                await reading
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _lines(stream: asyncio.StreamReader, into: list[bytes]) -> None:
    into.extend([line async for line in stream])


def test_a_job_goes_through_a_real_store_and_its_events_are_pushed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api(tmp_path) as running, asyncio.timeout(20):
            status, job = await running.ask("POST", "/v1/jobs", json=HELLO)
            assert status == 202
            events = running.session.get(
                f"{running.url}/v1/jobs/{job['id']}/events", headers={"X-API-Key": running.key}
            )
            async with events as stream:
                sync = Sync(worker="w", epoch="e", slots=1, free=1, languages={"python": "3.12"})
                (given,) = msgspec.msgpack.decode(await running.work("sync", sync), type=Orders).jobs
                assert (given.id, given.files[0].data) == (job["id"], HELLO["source"].encode())
                piece = Output(id=given.id, token=given.token, seq=0, stream="stdout", data=b"hello\n")
                result = WireResult(id=given.id, token=given.token, verdict="ok", exit_code=0, stdout=b"hello\n")
                await running.work("report", Report(worker="w", epoch="e", output=(piece,)))
                again = Report(worker="w", epoch="e", results=(result,))
                for _ in range(2):  # a receipt that was lost is asked for again
                    assert msgspec.msgpack.decode(await running.work("report", again), type=Receipt).kill == ()
                text = (await stream.read()).decode()
            kinds = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
            assert kinds == ["queued", "started", "stdout", "finished"]
            _, done = await running.ask("GET", f"/v1/jobs/{job['id']}")
            assert (done["verdict"], done["stdout"], done["attempts"]) == ("ok", "hello\n", 1)
            _, program = await running.ask("GET", f"/v1/jobs/{job['id']}/program")
            assert program["files"] == [{"path": "main.py", "content": HELLO["source"]}]
            for path in ("/v1/quotas", "/v1/costs", "/v1/audit", "/v1/dead-letters", "/v1/callbacks/dead-letters"):
                assert (await running.ask("GET", path))[0] == 200, path

    asyncio.run(scenario())


def test_a_hundred_posts_with_one_key_make_one_job_in_a_real_store(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api(tmp_path) as running, asyncio.timeout(20):
            headers = {"X-API-Key": running.key, "Idempotency-Key": "k"}

            async def post(body: dict[str, str]) -> tuple[int, Any]:
                async with running.session.post(f"{running.url}/v1/jobs", headers=headers, json=body) as answer:
                    return answer.status, await answer.json(content_type=None)

            replies = await asyncio.gather(*(post(HELLO) for _ in range(100)))
            assert {status for status, _ in replies} == {202}
            assert len({body["id"] for _, body in replies}) == 1
            assert len((await running.ask("GET", "/v1/jobs"))[1]["jobs"]) == 1
            assert (await post(HELLO | {"source": "other"}))[0] == 409

    asyncio.run(scenario())


def test_sigterm_ends_what_is_held_and_exits_with_0(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api(tmp_path) as running, asyncio.timeout(20):
            _, job = await running.ask("POST", "/v1/jobs", json=HELLO)
            poll = asyncio.create_task(running.ask("GET", f"/v1/jobs/{job['id']}?wait=60s"))
            headers = {"X-API-Key": running.key}
            async with running.session.get(f"{running.url}/v1/jobs/{job['id']}/events", headers=headers) as stream:
                await stream.content.readuntil(b"event: queued")
                running.process.send_signal(signal.SIGTERM)
                assert b"come back with Last-Event-ID" in await stream.read()
            assert (await poll)[1]["status"] == "queued"
            assert await running.ends() == 0
            log = b"".join(running.log).decode()
        for line in log.splitlines():
            assert json.loads(line)["level"] in {"info", "warning"}, line
        assert running.key not in log
        assert running.worker_key not in log

    asyncio.run(scenario())


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    async def scenario() -> None:
        accepted: list[str] = []
        async with api(tmp_path) as first, asyncio.timeout(30):

            async def post() -> None:
                while True:
                    status, job = await first.ask("POST", "/v1/jobs", json=HELLO)
                    assert status == 202
                    accepted.append(job["id"])
                    if len(accepted) == 200:
                        first.process.kill()  # in the middle of what the others wait for

            posts = [asyncio.create_task(post()) for _ in range(20)]
            await asyncio.gather(*posts, return_exceptions=True)
            assert await first.ends() == -signal.SIGKILL
        async with api(tmp_path, first.key) as second, asyncio.timeout(30):
            found: set[str] = set()
            cursor = ""
            while True:
                _, page = await second.ask("GET", f"/v1/jobs?limit=200{cursor}")
                found |= {job["id"] for job in page["jobs"]}
                if page["next"] is None:
                    break
                cursor = f"&cursor={page['next']}"
        assert set(accepted) <= found
        assert len(accepted) >= 200

    asyncio.run(scenario())


@pytest.mark.timeout(240)
def test_ten_thousand_connections_that_never_finish_their_request_stop_nobody(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FLOOD + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        print(f"only {hard} open files are allowed here: fewer connections")
        wanted = hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))

    async def scenario() -> None:
        async with api(tmp_path) as running, asyncio.timeout(200):
            host, _, port = running.url.removeprefix("http://").rpartition(":")
            with ExitStack() as open_sockets:
                for number in range(wanted - 500):
                    # As a slow client does: a head without an end, a body without an end, nothing at all.
                    part = (
                        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Slow: ",
                        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: %b\r\nContent-Type: application/json\r\n"
                        b"Content-Length: 1000\r\n\r\n{" % running.key.encode(),
                        b"",
                    )[number % 3]
                    slow = open_sockets.enter_context(socket.create_connection((host, int(port)), timeout=10))
                    slow.sendall(part)
                    if number % 100 == 0:
                        await asyncio.sleep(0)
                for _ in range(20):
                    status, _ = await running.ask("POST", "/v1/jobs", json=HELLO)
                    assert status == 202
                assert (await running.ask("GET", "/readyz"))[0] == 200

    try:
        asyncio.run(scenario())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_address_that_cannot_be_had_is_named_with_the_setting() -> None:
    async def scenario() -> None:
        taken = await listen("127.0.0.1:0", setting="execution.listen")
        with taken:
            port = taken.getsockname()[1]
            with pytest.raises(AddressError, match=rf"execution\.listen: cannot listen on 127\.0\.0\.1:{port}"):
                await listen(f"127.0.0.1:{port}", setting="execution.listen")
        for wrong in ("8083", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "256.0.0.1:1"):
            with pytest.raises(AddressError, match=r"execution\.listen"):
                await listen(wrong, setting="execution.listen")

    asyncio.run(scenario())
