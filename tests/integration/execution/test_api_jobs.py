"""A job's way through the API, over real sockets and a queue in memory."""

from __future__ import annotations

import asyncio
import base64

from holdfast.execution.core.job import Result, Verdict
from holdfast.execution.core.ports import Lease
from holdfast.execution.core.protocol import GivenBack, Held, Output, Receipt, Report
from holdfast.testing import eventually
from tests.integration.execution.harness import HELLO, finish, report, running, sync


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
            assert (job.id, job.token, job.language, job.entry) == (accepted["id"], 1, "python", "main.py")
            assert (job.stdin, job.files[0].data) == (b"in", b"print('hello')")
            now = (await api.ask("GET", f"/v1/jobs/{job.id}")).json()
            assert (now["status"], now["verdict"], now["stdout"]) == ("running", None, None)
            assert await finish(api, job.id, stdout=b"hello\n", cpu_ms=12.5) == Receipt()
            done = (await api.ask("GET", f"/v1/jobs/{job.id}")).json()
            assert (done["status"], done["verdict"], done["exit_code"]) == ("finished", "ok", 0)
            assert (done["stdout"], done["cpu_ms"], done["metadata"]) == ("hello\n", 12.5, {"a": 1.0})
            raw = (await api.ask("GET", f"/v1/jobs/{job.id}?encoding=base64")).json()
            assert base64.b64decode(raw["stdout"]) == b"hello\n"

    asyncio.run(scenario())


def test_the_endpoint_before_the_framework_and_its_twin_behind_it_answer_alike() -> None:
    async def scenario() -> None:
        async with running() as api:
            front = await api.ask("POST", "/v1/jobs", json=HELLO, headers={"Idempotency-Key": "k"})
            twin = await api.ask("POST", "/v1/jobs/", json=HELLO, headers={"Idempotency-Key": "k"})
            assert (front.status, front.json()) == (twin.status, twin.json())
            assert front.headers["location"] == twin.headers["location"]
            for wrong in (HELLO | {"stdin": 1}, HELLO | {"bogus": 1}, HELLO | {"entry": "../x"}):
                front, twin = [await api.ask("POST", path, json=wrong) for path in ("/v1/jobs", "/v1/jobs/")]
                assert (front.status, front.json()["type"]) == (twin.status, twin.json()["type"])
                assert front.json().get("field") == twin.json().get("field")

    asyncio.run(scenario())


def test_a_hundred_posts_with_one_key_make_one_job() -> None:
    async def scenario() -> None:
        async with running() as api:
            headers = {"Idempotency-Key": "exercise-7"}
            posts = [api.ask("POST", "/v1/jobs", json=HELLO, headers=headers) for _ in range(100)]
            replies = await asyncio.gather(*posts)
            assert {reply.status for reply in replies} == {202}
            assert len({reply.json()["id"] for reply in replies}) == len(api.queue.views) == 1
            other = await api.ask("POST", "/v1/jobs", json=HELLO | {"source": "other"}, headers=headers)
            assert (other.status, other.json()["type"]) == (409, "/problems/idempotency-conflict")
            bobs = await api.ask("POST", "/v1/jobs", key="bob", json=HELLO, headers=headers)
            assert bobs.status == 202
            assert len(api.queue.views) == 2

    asyncio.run(scenario())


def test_a_repeated_post_tells_what_has_become_of_the_job() -> None:
    async def scenario() -> None:
        async with running() as api:
            headers = {"Idempotency-Key": "k"}
            first = await api.ask("POST", "/v1/jobs", json=HELLO, headers=headers)
            await sync(api)
            again = await api.ask("POST", "/v1/jobs", json=HELLO, headers=headers)
            assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "running")

    asyncio.run(scenario())


def test_a_batch_is_all_or_nothing_and_names_the_job_that_is_wrong() -> None:
    async def scenario() -> None:
        async with running() as api:
            wrong = await api.ask("POST", "/v1/batches", json={"jobs": [HELLO, HELLO | {"entry": "../x"}]})
            assert (wrong.status, wrong.json()["field"]) == (422, "jobs[1].entry")
            typed = await api.ask("POST", "/v1/batches", json={"jobs": [HELLO, {"language": 3}]})
            assert (typed.status, typed.json()["type"], typed.json()["field"]) == (
                422,
                "/problems/invalid-request",
                "jobs[1].language",
            )
            assert not api.queue.views
            for count in (0, 101):
                reply = await api.ask("POST", "/v1/batches", json={"jobs": [HELLO] * count})
                assert (reply.status, reply.json()["field"]) == (422, "jobs")
            reply = await api.ask("POST", "/v1/batches", json={"jobs": [HELLO] * 100})
            assert reply.status == 202
            assert [job["id"] for job in reply.json()["jobs"]] == sorted(api.queue.views)
            assert api.queue.groups == [100]

    asyncio.run(scenario())


def test_a_repeated_batch_is_the_same_batch_and_a_longer_one_is_a_conflict() -> None:
    async def scenario() -> None:
        async with running() as api:
            headers = {"Idempotency-Key": "b"}
            first = await api.ask("POST", "/v1/batches", json={"jobs": [HELLO] * 2}, headers=headers)
            again = await api.ask("POST", "/v1/batches", json={"jobs": [HELLO] * 2}, headers=headers)
            ids = [[job["id"] for job in reply.json()["jobs"]] for reply in (first, again)]
            assert ids[0] == ids[1]
            longer = await api.ask("POST", "/v1/batches", json={"jobs": [HELLO] * 3}, headers=headers)
            assert longer.status == 409

    asyncio.run(scenario())


def test_a_held_sync_is_answered_when_a_job_comes() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            held = asyncio.create_task(sync(api, wait_s=30.0))
            await eventually(lambda: api.queue.workers, "the poll is held")
            id = await api.submitted()
            assert [job.id for job in (await held).jobs] == [id]

    asyncio.run(scenario())


def test_a_held_sync_ends_empty_when_the_service_stops() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            held = asyncio.create_task(sync(api, wait_s=30.0))
            await eventually(lambda: api.queue.workers, "the poll is held")
            api.server.stop()
            assert (await held).jobs == ()
            await api.task

    asyncio.run(scenario())


def test_a_worker_that_asks_anew_ends_its_older_poll() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            older = asyncio.create_task(sync(api, wait_s=30.0))
            await eventually(lambda: api.queue.workers, "the poll is held")
            newer = asyncio.create_task(sync(api, wait_s=30.0))
            assert (await older).jobs == ()
            id = await api.submitted()
            assert [job.id for job in (await newer).jobs] == [id]

    asyncio.run(scenario())


def test_a_poll_renews_leases_once_however_long_it_is_held() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            id = await api.submitted()
            (job,) = (await sync(api)).jobs
            lease = Held(id=job.id, token=job.token)
            held = asyncio.create_task(sync(api, free=0, wait_s=30.0, held=(lease,)))
            await eventually(lambda: api.queue.renewed, "the poll is held")
            await api.ask("DELETE", f"/v1/jobs/{id}")  # has the poll look again
            assert (await held).kill == (lease,)
            assert api.queue.renewed == [Lease(id=job.id, token=job.token)]

    asyncio.run(scenario())


def test_nothing_is_given_to_a_worker_that_has_hung_up() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            held = asyncio.create_task(sync(api, wait_s=30.0))
            await eventually(lambda: api.queue.workers, "the poll is held")
            held.cancel()
            await asyncio.gather(held, return_exceptions=True)
            await eventually(lambda: api.front.open == 0, "the server noticed")
            id = await api.submitted()
            assert (await api.ask("GET", f"/v1/jobs/{id}")).json()["status"] == "queued"

    asyncio.run(scenario())


def test_claims_of_a_worker_that_hung_up_meanwhile_are_given_back() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            id = await api.submitted()
            api.queue.may_give.clear()
            held = asyncio.create_task(sync(api))
            await eventually(lambda: api.front.active == 1, "the queue is asked")
            held.cancel()
            await asyncio.gather(held, return_exceptions=True)
            await eventually(lambda: api.guard.connections == 0, "the server saw it go")
            api.queue.may_give.set()
            await eventually(lambda: api.front.open == 0, "the poll is over")
            view = api.queue.views[id]
            assert (view.status, view.attempts) == ("queued", 1)
            assert [(job.id, job.token) for job in (await sync(api, worker="w2")).jobs] == [(id, 2)]

    asyncio.run(scenario())


def test_a_stale_token_comes_back_as_lost_and_writes_nothing() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            await sync(api)
            receipt = await finish(api, id, token=2, stdout=b"forged")
            assert receipt.lost == (Held(id=id, token=2),)
            assert (await api.ask("GET", f"/v1/jobs/{id}")).json()["status"] == "running"

    asyncio.run(scenario())


def test_a_job_given_back_is_given_out_again() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            await sync(api)
            back = GivenBack(id=id, token=1, reason="shutting down", counts=False)
            await report(api, Report(worker="w1", epoch="e", given_back=(back,)))
            assert [(job.id, job.token) for job in (await sync(api)).jobs] == [(id, 2)]

    asyncio.run(scenario())


def test_a_long_poll_is_answered_the_moment_the_job_ends() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            id = await api.submitted()
            held = asyncio.create_task(api.ask("GET", f"/v1/jobs/{id}?wait=60s"))
            await eventually(lambda: api.service.held.total == 1, "the poll is held")
            await sync(api)
            await finish(api, id, stdout=b"done")
            assert (await held).json()["stdout"] == "done"

    asyncio.run(scenario())


def test_a_long_poll_of_a_job_that_does_not_end_gives_it_as_it_is() -> None:
    async def scenario() -> None:
        async with running() as api, asyncio.timeout(5):
            id = await api.submitted()
            assert (await api.ask("GET", f"/v1/jobs/{id}?wait=20ms")).json()["status"] == "queued"
            for wait in ("61s", "10", "-1s", "soon"):
                reply = await api.ask("GET", f"/v1/jobs/{id}?wait={wait}")
                assert (reply.status, reply.json()["field"]) == (422, "wait"), wait

    asyncio.run(scenario())


def test_a_job_can_be_cancelled_in_any_state() -> None:
    async def scenario() -> None:
        async with running() as api:
            queued, started = await api.submitted(), None
            gone = await api.ask("DELETE", f"/v1/jobs/{queued}")
            assert (gone.status, gone.json()["status"], gone.json()["verdict"]) == (200, "finished", "cancelled")
            started = await api.submitted()
            await sync(api)
            told = await api.ask("DELETE", f"/v1/jobs/{started}")
            assert (told.json()["status"], told.json()["cancel_requested"]) == ("running", True)
            held = Held(id=started, token=1)
            assert (await sync(api, free=0, held=(held,))).kill == (held,)
            await finish(api, started, verdict="cancelled")
            ended = await api.ask("DELETE", f"/v1/jobs/{started}")
            assert ended.json()["verdict"] == "cancelled"
            trail = (await api.ask("GET", "/v1/audit?action=job.cancel")).json()["entries"]
            assert [entry["target"] for entry in trail] == [started, started, queued]

    asyncio.run(scenario())


def test_pages_of_jobs_go_from_the_newest_to_the_oldest() -> None:
    async def scenario() -> None:
        async with running() as api:
            ids = [await api.submitted() for _ in range(5)]
            api.queue.end(ids[0], Result(verdict=Verdict.OK), 1.0)
            seen: list[str] = []
            cursor = ""
            while True:
                page = (await api.ask("GET", f"/v1/jobs?limit=2{cursor}")).json()
                seen += [job["id"] for job in page["jobs"]]
                if page["next"] is None:
                    break
                cursor = f"&cursor={page['next']}"
            assert seen == ids[::-1]
            finished = (await api.ask("GET", "/v1/jobs?status=finished&verdict=ok")).json()
            assert [job["id"] for job in finished["jobs"]] == [ids[0]]
            for query in ("limit=0", "limit=201", "limit=x", "status=lost", "cursor=x"):
                reply = await api.ask("GET", f"/v1/jobs?{query}")
                assert (reply.status, reply.json()["field"]) == (422, query.partition("=")[0]), query

    asyncio.run(scenario())


def test_a_program_is_given_back_with_what_was_filled_in() -> None:
    async def scenario() -> None:
        async with running() as api:
            files = [{"path": "main.py", "content": "é"}, {"path": "x.bin", "content_base64": "/w=="}]
            posted = await api.ask(
                "POST", "/v1/jobs", json={"language": "py", "files": files, "stdin": "a", "args": ["b"]}
            )
            id = posted.json()["id"]
            program = (await api.ask("GET", f"/v1/jobs/{id}/program")).json()
            assert (program["language"], program["entry"], program["files"]) == ("python", "main.py", files)
            assert (program["stdin"], program["args"], program["limits"]["wall_s"]) == ("a", ["b"], 60.0)
            api.queue.programs_expired = True
            gone = await api.ask("GET", f"/v1/jobs/{id}/program")
            assert (gone.status, gone.json()["type"]) == (410, "/problems/expired")

    asyncio.run(scenario())


def test_live_output_of_a_running_job_is_taken() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            await sync(api)
            piece = Output(id=id, token=1, seq=0, stream="stdout", data=b"half")
            await report(api, Report(worker="w1", epoch="e", output=(piece,)))
            assert [(event.kind, event.data) for event in api.queue.log[id]][-1] == ("stdout", b"half")

    asyncio.run(scenario())
