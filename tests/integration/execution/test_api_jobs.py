from __future__ import annotations

import asyncio

import msgspec

from holdfast.execution.core.protocol import Held, Orders, Receipt, Report, Sync, WireResult
from holdfast.testing import eventually
from tests.integration.execution.harness import HELLO, Api, running

MSGPACK = {"Content-Type": "application/msgpack"}


async def sync(api: Api, *, free: int = 1, wait_s: float = 5.0, held: tuple[Held, ...] = ()) -> Orders:
    message = Sync(worker="w1", epoch="e", slots=2, free=free, wait_s=wait_s, held=held, languages={"python": "3.12"})
    body = msgspec.msgpack.encode(message)
    reply = await api.ask("POST", "/internal/v1/sync", key="worker", data=body, headers=MSGPACK)
    assert reply.status == 200, reply.body
    return msgspec.msgpack.decode(reply.body, type=Orders)


async def report(api: Api, message: Report) -> Receipt:
    body = msgspec.msgpack.encode(message)
    reply = await api.ask("POST", "/internal/v1/report", key="worker", data=body, headers=MSGPACK)
    assert reply.status == 200, reply.body
    return msgspec.msgpack.decode(reply.body, type=Receipt)


async def finish(api: Api, id: str, token: int = 1, **fields: object) -> Receipt:
    result = msgspec.convert({"id": id, "token": token, "verdict": "ok", "exit_code": 0, **fields}, WireResult)
    return await report(api, Report(worker="w1", epoch="e", results=(result,)))


def test_a_job_goes_from_post_to_worker_to_result() -> None:
    async def scenario() -> None:
        async with running() as api:
            posted = await api.ask("POST", "/v1/jobs", json=HELLO | {"stdin": "in", "metadata": {"a": 1.0}})
            assert posted.status == 202
            accepted = posted.json()
            assert accepted["status"] == "queued"
            assert posted.headers["location"] == accepted["links"]["self"] == f"/v1/jobs/{accepted['id']}"
            orders = await sync(api)
            (job,) = orders.jobs
            assert (job.id, job.token, job.language, job.entry, job.stdin) == (
                accepted["id"],
                1,
                "python",
                "main.py",
                b"in",
            )
            assert job.files[0].data == b"print('hello')"
            running_job = (await api.ask("GET", f"/v1/jobs/{job.id}")).json()
            assert (running_job["status"], running_job["verdict"], running_job["stdout"]) == ("running", None, None)
            assert await finish(api, job.id, stdout=b"hello\n", cpu_ms=12.5) == Receipt()
            done = (await api.ask("GET", f"/v1/jobs/{job.id}")).json()
            assert (done["status"], done["verdict"], done["exit_code"]) == ("finished", "ok", 0)
            assert (done["stdout"], done["cpu_ms"], done["metadata"]) == ("hello\n", 12.5, {"a": 1.0})

    asyncio.run(scenario())


def test_a_held_sync_is_answered_when_a_job_comes() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            held = asyncio.create_task(sync(api, wait_s=30.0))
            await eventually(lambda: api.queue.workers, "the poll is held")
            id = await api.submitted()
            assert [job.id for job in (await held).jobs] == [id]

    asyncio.run(scenario())
