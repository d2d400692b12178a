"""Code execution as a tool, against an execution API that does as it is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web

from holdfast.gateway.errors import Refused
from tests.integration.gateway.tools.stage import brokering, caller, served

pytestmark = pytest.mark.anyio

PROGRAM = '{"language": "python", "source": "print(6 * 7)"}'
DONE = {
    "id": "J1",
    "status": "finished",
    "verdict": "ok",
    "exit_code": 0,
    "stdout": "42\n",
    "stderr": "",
    "cpu_ms": 2.5,
}


@dataclass
class Execution:
    """The execution API: what it is asked, and what it answers to each."""

    submit: list[tuple[int, dict[str, Any]]] = field(default_factory=lambda: [(202, {"id": "J1"})])
    poll: list[tuple[int, dict[str, Any]]] = field(default_factory=lambda: [(200, DONE)])
    submitted: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer hf_key"
        if request.method == "POST":
            self.submitted.append(await request.json())
            self.keys.append(request.headers.get("Idempotency-Key"))
            status, body = self.submit.pop(0)
            if status == 0:
                assert request.transport is not None
                request.transport.abort()
            return web.json_response(body, status=status or 500)
        if request.method == "DELETE":
            self.cancelled.set()
            return web.json_response({})
        if not self.poll:
            await asyncio.Event().wait()
        status, body = self.poll.pop(0)
        return web.json_response(body, status=status)


def sections(url: str, **more: Any) -> dict[str, Any]:
    return {
        "execution": {"url": url, "key": "hf_key", "languages": ["python", "node"], "cpu": "3s", "memory": "64MiB"},
        "tools": {"run": {"description": "Runs a program.", "execution": True, "timeout": "9s", **more}},
    }


async def test_a_program_runs_within_its_limits_and_its_result_comes_back() -> None:
    api = Execution(poll=[(200, {"id": "J1", "status": "running"}), (200, DONE)])
    async with served(api.answer) as url, brokering(**sections(url)) as broker:
        result = await broker.call(caller(), "run", PROGRAM)
    assert msgspec.json.decode(result.text) == {
        "verdict": "ok",
        "exit_code": 0,
        "stdout": "42\n",
        "stderr": "",
        "truncated": False,
        "cpu_ms": 2.5,
        "job": "J1",
    }
    assert not result.is_error
    (job,) = api.submitted
    assert job["source"] == "print(6 * 7)"
    assert (job["limits"]["wall"], job["limits"]["cpu"], job["limits"]["memory"]) == (9.0, 3.0, 64 * 2**20)
    assert job["metadata"] == {"tenant": "acme", "key": "k-acme"}


async def test_a_program_that_fails_is_an_error_that_the_model_can_read() -> None:
    api = Execution(poll=[(200, {**DONE, "verdict": "runtime_error", "exit_code": 1, "stderr": "Traceback"})])
    async with served(api.answer) as url, brokering(**sections(url)) as broker:
        result = await broker.call(caller(), "run", PROGRAM)
    assert result.is_error
    assert "Traceback" in result.text


async def test_a_language_that_is_not_offered_is_never_submitted() -> None:
    api = Execution()
    async with served(api.answer) as url, brokering(**sections(url)) as broker:
        with pytest.raises(Refused, match="schema"):
            await broker.call(caller(), "run", '{"language": "bash", "source": "true"}')
        with pytest.raises(Refused, match="schema"):
            await broker.call(caller(), "run", '{"language": "python", "source": "", "limits": {"cpu": 300}}')
    assert api.submitted == []


async def test_a_job_whose_time_is_up_is_cancelled() -> None:
    api = Execution(poll=[])
    async with served(api.answer) as url, brokering(**sections(url, timeout="200ms")) as broker:
        with pytest.raises(Refused) as refused:
            await broker.call(caller(), "run", PROGRAM)
        assert refused.value.reason == "timeout"
        async with asyncio.timeout(5.0):
            await api.cancelled.wait()


async def test_a_submission_whose_answer_was_lost_is_repeated_with_the_same_key() -> None:
    api = Execution(submit=[(0, {}), (202, {"id": "J1"})])
    async with served(api.answer) as url, brokering(**sections(url)) as broker:
        assert not (await broker.call(caller(), "run", PROGRAM)).is_error
    assert len(set(api.keys)) == 1
    assert len(api.keys) == 2


@pytest.mark.parametrize(
    ("status", "reason"), [(403, "internal"), (422, "invalid_request"), (429, "overloaded"), (500, "upstream_failed")]
)
async def test_what_the_service_refuses_has_a_word_for_it(status: int, reason: str) -> None:
    api = Execution(submit=[(status, {"detail": "no", "retry_after_s": 2.0})])
    async with served(api.answer) as url, brokering(**sections(url)) as broker:
        with pytest.raises(Refused) as refused:
            await broker.call(caller(), "run", PROGRAM)
    assert refused.value.reason == reason
    assert "hf_key" not in str(refused.value)
