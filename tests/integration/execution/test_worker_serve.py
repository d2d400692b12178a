"""A whole worker over real HTTP, with plain processes in place of sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from holdfast.execution.core.protocol import Report, Sync
from holdfast.execution.core.settings import ExecutionSettings, WorkerSettings
from holdfast.execution.shell.worker import WorkerError, serve
from holdfast.execution.shell.worker.errors import Rejected, Unanswered
from holdfast.execution.shell.worker.link import Link
from holdfast.execution.shell.worker.serve import KEY
from holdfast.kernel import Size
from holdfast.testing import eventually
from tests.integration.execution.stub_server import StubServer, serving
from tests.unit.execution.jobs import job
from tests.unit.execution.processes import ProcessSandboxes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path


@contextlib.asynccontextmanager
async def processes(settings: WorkerSettings, *, slots: int) -> AsyncIterator[ProcessSandboxes]:
    """No walls."""
    yield ProcessSandboxes()


class Broken(ProcessSandboxes):
    """Every program says something else."""

    async def take(self) -> Any:
        raise RuntimeError("no sandbox today")


@contextlib.asynccontextmanager
async def broken(settings: WorkerSettings, *, slots: int) -> AsyncIterator[ProcessSandboxes]:
    """Sandboxes that cannot be had."""
    yield Broken()


def settings(server: StubServer, tmp_path: Path, **worker: Any) -> ExecutionSettings:
    values = {"api": server.url, "api_key": "hf_secret", "slots": 2, "cache": str(tmp_path / "cache"), **worker}
    return ExecutionSettings(worker=WorkerSettings(**values))


@contextlib.asynccontextmanager
async def at_work(server: StubServer, tmp_path: Path, **worker: Any) -> AsyncIterator[None]:
    """A worker that is ready; it gets SIGTERM at the end and must exit with 0."""
    ready = asyncio.Event()

    def announce(_: Mapping[str, str]) -> None:
        assert not server.api.syncs, "nothing is claimed before the worker is ready"
        ready.set()

    serving_task = asyncio.create_task(
        serve(settings(server, tmp_path, **worker), ready=announce, open_sandboxes=processes)
    )
    async with asyncio.timeout(30):
        await asyncio.wait({serving_task, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if serving_task.done():
        serving_task.result()
    yield
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(20):
        assert await serving_task == 0


def test_jobs_of_several_languages_are_run_and_reported(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving() as server, at_work(server, tmp_path):
            python = job("python", {"main.py": "print(6 * 7)"})
            bash = job("bash", {"main.sh": "echo $((6 * 7)); exit 4"})
            server.api.submit(python, bash)
            assert (await server.api.result(python)).stdout == b"42\n"
            result = await server.api.result(bash)
            assert (result.verdict, result.exit_code, result.stdout) == ("runtime_error", 4, b"42\n")
        assert server.authorizations == {"Bearer hf_secret"}
        assert {"python", "bash"} <= server.api.syncs[0].languages.keys()

    asyncio.run(scenario())


def test_a_second_job_of_the_same_c_source_comes_from_the_cache(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving() as server, at_work(server, tmp_path):
            cached = []
            for tenant in ("acme", "acme", "other"):
                wanted = job("c", {"main.c": "int main(void) { return 0; }"}, tenant=tenant)
                server.api.submit(wanted)
                compiled = (await server.api.result(wanted)).compiled
                assert compiled is not None
                cached.append(compiled.cached)
            assert cached == [False, True, False]

    asyncio.run(scenario())


def test_the_key_from_the_environment_is_used_and_removed_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(KEY, "hf_from_environment")

    async def scenario() -> None:
        async with serving() as server, at_work(server, tmp_path, api_key=None):
            assert KEY not in os.environ
            wanted = job("bash", {"main.sh": "env"})
            server.api.submit(wanted)
            assert b"hf_" not in (await server.api.result(wanted)).stdout
        assert server.authorizations == {"Bearer hf_from_environment"}

    with caplog.at_level("DEBUG"):
        asyncio.run(scenario())
    assert "hf_from_environment" not in caplog.text


def test_a_worker_without_a_key_does_not_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        await serve(settings(StubServer(), tmp_path, api_key=None), ready=lambda _: None, open_sandboxes=processes)

    with pytest.raises(WorkerError, match=r"execution\.worker\.api_key is missing; .*holdfast key create"):
        asyncio.run(scenario())


def test_a_worker_whose_sandboxes_fail_claims_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving() as server:
            with pytest.raises(RuntimeError, match="no sandbox today"):
                await serve(settings(server, tmp_path), ready=lambda _: pytest.fail("not ready"), open_sandboxes=broken)
            assert server.api.syncs == []

    asyncio.run(scenario())


def test_connections_are_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving() as server, at_work(server, tmp_path):
            for _ in range(20):
                wanted = job("bash", {"main.sh": "true"})
                server.api.submit(wanted)
                await server.api.result(wanted)
        assert len(server.connections) <= 4

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("status", "error"),
    [(503, Unanswered), (401, Unanswered), (302, Unanswered), (400, Rejected), (413, Rejected), (200, Unanswered)],
)
def test_an_answer_that_is_none_is_an_error_that_says_what_came(status: int, error: type[Exception]) -> None:
    async def scenario() -> None:
        async with serving() as server:
            server.answer = web.Response(status=status, body=b'{"title": "what it says"}')
            link = Link(server.url, "hf_secret")
            try:
                with pytest.raises(error) as caught:
                    await link.report(Report(worker="w", epoch="e"))
                assert server.url in str(caught.value)
                assert "hf_secret" not in str(caught.value)
            finally:
                await link.close()

    asyncio.run(scenario())


def test_an_api_that_is_not_there_is_unanswered() -> None:
    async def scenario() -> None:
        async with serving() as server:
            gone = server.url
        link = Link(gone, "hf_secret")
        try:
            with pytest.raises(Unanswered, match="sync"):
                await link.sync(Sync(worker="w", epoch="e", slots=1, free=1))
        finally:
            await link.close()

    asyncio.run(scenario())


def test_work_goes_on_when_the_api_comes_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving() as server, at_work(server, tmp_path):
            await eventually(lambda: server.api.open_syncs == 1)
            server.answer = web.Response(status=503, body=b"")
            server.api.order()
            wanted = job("python", {"main.py": "print(1)"})
            server.api.submit(wanted)
            await eventually(lambda: server.refused >= 2)
            server.answer = None
            assert (await server.api.result(wanted)).verdict == "ok"

    asyncio.run(scenario())


def test_a_program_larger_than_what_is_brought_back_runs_and_is_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.execution.shell.languages.planning.KEEP_BYTES", Size(10))

    async def scenario() -> None:
        async with serving() as server, at_work(server, tmp_path):
            for _ in range(2):
                wanted = job("c", {"main.c": "int main(void) { return 0; }"})
                server.api.submit(wanted)
                result = await server.api.result(wanted)
                assert result.verdict == "ok"
                assert result.compiled is not None
                assert not result.compiled.cached

    asyncio.run(scenario())
