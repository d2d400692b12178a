"""The console over the real API: what the fake says in the other tests is what the API says."""

from __future__ import annotations

from holdfast.testing import eventually
from tests.integration.console.visitor import console, visitor
from tests.integration.execution.harness import finish, running, sync


async def test_a_program_goes_from_the_form_through_the_api_to_its_result() -> None:
    async with running() as api, console(execution=api.url) as url, visitor(url) as who:
        assert (await who.sign_in("ada")).headers["location"] == "/"
        assert "ready" in (await who.get("/")).words
        await sync(api, free=0, wait_s=0.01)
        await eventually(lambda: api.service.live, "the API knows of the worker")
        page = await who.get("/code")
        assert '<option value="python"' in page.text
        assert 'placeholder="256MiB"' in page.text
        sent = await who.post(
            "/code",
            attempt=page.hidden("attempt"),
            language="python",
            source="print('hi')",
            stdin="in",
            args="'a b'",
            memory="64MiB",
        )
        assert sent.status == 303, who.page.words
        assert "It waits for a free slot." in (await who.get(sent.headers["location"])).words
        (job,) = (await sync(api)).jobs
        assert (job.args, job.stdin, job.limits.memory_bytes) == (("a b",), b"in", 64 * 2**20)
        assert "It is running." in (await who.get(f"/jobs/{job.id}")).words
        await finish(api, job.id, stdout=b"<hi>\n", cpu_ms=12.5, wall_ms=20.0, memory_bytes=2**20)
        page = await who.get(f"/jobs/{job.id}")
        assert "The program ended with exit code 0." in page.words
        assert "&lt;hi&gt;" in page.text
        assert "1 MiB of 64 MiB" in page.words
        assert "print(&#39;hi&#39;)" in (await who.get(f"/code?job={job.id}")).text
        assert job.id in (await who.get("/jobs?status=finished")).text
        async with who.http.get(f"{url}/jobs/{job.id}/events") as events:
            assert b"event: finished" in await events.content.read()
        assert (await who.get("/jobs/01KAAAAAAAAAAAAAAAAAAAAAAA")).status == 404


async def test_what_the_api_refuses_is_said_in_its_words() -> None:
    async with running() as api, console(execution=api.url) as url, visitor(url) as who:
        assert (await who.sign_in("nobody")).status == 401
        assert (await who.sign_in("worker")).status == 403
        await who.sign_in("viewer")
        await who.get("/code")
        assert (await who.post("/code", language="python", source="x")).status == 403
        await who.sign_in("ada")
        await who.get("/code")
        page = await who.post("/code", language="python", source="x", wall="10 parsecs")
        assert page.status == 422
        assert "limits.wall" in page.words
        assert 'value="10 parsecs"' in page.text
