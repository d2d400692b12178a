"""From the form to the result, as a reader without a script goes."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.console.fake_execution import KEY, LIMITS
from tests.integration.console.visitor import platform

RESULT = {"status": "finished", "verdict": "ok", "exit_code": 0, "stdout": "done\n", "stderr": ""}


async def test_the_form_offers_what_there_is_and_says_what_to_install_for_the_rest() -> None:
    async with platform(demo_api_key=KEY) as (_, who):
        page = await who.get("/code")
        assert '<option value="python"' in page.text
        assert '<option value="rust" disabled>Rust: install rustc</option>' in page.text
        assert "sys.stdin.readline()" in page.text, "a sample to begin with"
        assert 'placeholder="256MiB"' in page.text
        assert "up to 2GiB" in page.words
        assert "#include &lt;iostream&gt;" in (await who.get("/code?language=cpp")).text


async def test_a_program_goes_from_the_form_to_its_result() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        await who.get("/code")
        sent = await who.post(
            "/code",
            attempt=who.page.hidden("attempt"),
            language="cpp",
            source="int main() {\r\n}\r\n",
            stdin="a\r\nb",
            args="one 'two words'",
            wall="2s",
            memory=" 64MiB ",
            processes="8",
            cpu="",
        )
        assert (sent.status, sent.headers["location"]) == (303, "/jobs/JOB1")
        assert fake.submitted == [
            {
                "language": "cpp",
                "source": "int main() {\n}\n",
                "stdin": "a\nb",
                "args": ["one", "two words"],
                "limits": {"wall": "2s", "memory": "64MiB", "processes": 8},
            }
        ]
        page = await who.get("/jobs/JOB1")
        assert "It is running." in page.words
        assert 'content="0; url=/jobs/JOB1?wait=20"' in page.text, "without a script the page waits for the end"
        waiting = asyncio.create_task(who.get("/jobs/JOB1?wait=20"))
        await asyncio.sleep(0)
        fake.jobs["JOB1"].update(RESULT, cpu_ms=10.0, wall_ms=12.0, memory_bytes=2**20)
        fake.changed.set()
        assert "done" in (await waiting).words


async def test_a_form_that_is_sent_twice_makes_one_job() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        attempt = (await who.get("/code")).hidden("attempt")
        sent = [await who.post("/code", attempt=attempt, language="python", source="x") for _ in range(2)]
        assert {answer.headers["location"] for answer in sent} == {"/jobs/JOB1"}
        assert len(fake.submitted) == 1
        assert (await who.get("/code")).hidden("attempt") != attempt


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (
            {"status": 422, "title": "Invalid", "detail": "source: is missing", "field": "source"},
            "is missing",
        ),
        ({"status": 429, "title": "Too much queued", "detail": "d", "retry_after_s": 2.2}, "Try again in 3 seconds."),
        ({"status": 429, "title": "Too much queued", "detail": "d", "retry_after_s": 300}, "in about 5 minutes"),
        ({"status": 503, "title": "The queue is full", "detail": "d", "retry_after_s": 0.2}, "Try again in 1 second."),
    ],
)
async def test_what_the_service_refuses_comes_back_with_the_reason_and_the_text(
    problem: dict[str, object], said: str
) -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        await who.get("/code")
        fake.refusal = problem
        page = await who.post("/code", language="python", source="print('precious')", stdin="in", args="a", wall="9s")
        assert page.status == problem["status"]
        assert said in page.words
        assert "precious" in page.text
        assert 'value="9s"' in page.text
        assert "retry-after" in page.headers or "retry_after_s" not in problem


async def test_arguments_with_an_open_quote_are_pointed_out() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        await who.get("/code")
        page = await who.post("/code", language="python", source="x", args="one 'two")
        assert (page.status, fake.submitted) == (422, [])
        assert "No closing quotation" in page.words


async def test_a_job_can_be_edited_and_run_again() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.add("J", language="cpp")
        page = await who.get("/code?job=J")
        assert "print(&#39;Hello&#39;)" in page.text
        assert 'value="&#39;a b&#39; c"' in page.text
        assert '<option value="cpp" data-sample' in page.text
        assert "selected>C++" in page.text


async def test_without_any_worker_the_form_says_so() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.runtimes = [{"language": "python", "available": False, "package": "python3"}]
        assert "No language is available now" in (await who.get("/code")).words


async def test_a_job_is_cancelled_by_its_button() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.begin("J")
        await who.get("/jobs/J")
        assert (await who.post("/jobs/J/cancel")).headers["location"] == "/jobs/J"
        assert fake.cancelled == ["J"]
        page = await who.get("/jobs/J")
        assert "cancelling" in page.words
        assert "/jobs/J/cancel" not in page.text


async def test_a_finished_job_shows_what_it_used_of_what_it_had() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.add("J", verdict="memory_limit", exit_code=None, signal=9, memory_bytes=256 * 2**20, cpu_ms=5000.0)
        words = (await who.get("/jobs/J")).words
        assert "Killed: it used more than 256 MiB of memory." in words
        assert "5 s of 10 s" in words
        assert "256 MiB of 256 MiB" in words
        fake.programs["J"]["limits"] = LIMITS | {"memory_bytes": 2**30, "cpu_s": 4.0}
        assert "more than 1 GiB" in (await who.get("/jobs/J")).words


async def test_a_job_is_shown_without_what_the_service_does_not_tell() -> None:
    """An older service, or a program that has expired: no limits, no source, and still a page."""
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.add("J", verdict="time_limit", exit_code=None)
        del fake.programs["J"]
        page = await who.get("/jobs/J")
        assert page.status == 200
        assert "Killed: it took longer than its limit." in page.words
        assert "Edit and run again" not in page.words


async def test_an_expired_result_says_so() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.add("J", expired=True, stdout=None, stderr=None)
        assert "The output was removed" in (await who.get("/jobs/J")).words


async def test_long_output_is_cut_on_the_page_and_whole_in_the_download() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.add("J", stdout="x" * 300_000, stdout_truncated=True)
        page = await who.get("/jobs/J")
        assert len(page.text) < 200_000
        assert "cut at the limit" in page.words
        assert len((await who.get("/jobs/J/output/stdout.txt")).text) == 300_000


async def test_a_first_line_that_is_empty_is_not_lost() -> None:
    """HTML drops a line break that comes first in ``pre`` and ``textarea``."""
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.add("J", stdout="\nsecond line\n")
        assert ">\n\nsecond line\n</pre>" in (await who.get("/jobs/J")).text


async def test_jobs_are_listed_by_state_page_by_page() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        assert "Nothing was run yet." in (await who.get("/jobs")).words
        for number in range(30):
            fake.add(f"J{number:02}")
        fake.begin("R")
        first = await who.get("/jobs")
        assert ("J29" in first.text, "J05" in first.text) == (True, False)
        assert 'href="/jobs?cursor=J06"' in first.text
        older = await who.get("/jobs?cursor=J06")
        assert ("/jobs/J05" in older.text, "/jobs/J06" in older.text) == (True, False)
        running = await who.get("/jobs?status=running")
        assert ("/jobs/R" in running.text, "J29" in running.text) == (True, False)
        assert "There are none in this state." in (await who.get("/jobs?status=dead")).words
        assert "J29" in (await who.get("/jobs?status=nonsense")).text
