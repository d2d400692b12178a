"""Submitted to the real API, run by a real worker in real sandboxes."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from holdfast.cli.main import main
from holdfast.execution.shell.languages import Runtime, offered
from holdfast.testing import eventually
from tests.integration.execution.stack import Stack, running
from tests.unit.execution.programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Runtimes: TypeAlias = "Mapping[str, Runtime]"


async def exec_(stack: Stack, *words: str, key: str | None = None) -> int:
    """``holdfast exec`` against the stack, in a thread."""
    return await asyncio.to_thread(main, ["exec", *words, "--url", stack.url, "--key", key or stack.ada])


def test_every_language_that_is_offered_runs_and_comes_back(runtimes: Runtimes, tmp_path: Path) -> None:
    installed = offered(runtimes.values())

    async def scenario() -> None:
        async with running(tmp_path, installed, slots=4) as stack:
            ids = {
                name: await stack.submit(name, PROGRAMS[name].echo, stdin="line\n", args=["word"]) for name in installed
            }
            for name, id in ids.items():
                job = await stack.ended(id)
                assert (job["verdict"], job["stdout"]) == ("ok", "line word\n"), (name, job)
                assert job["worker"] == "worker-1"
                assert job["cpu_ms"] > 0

    asyncio.run(scenario())


def test_output_is_pushed_while_the_program_runs_and_a_cancel_ends_it(runtimes: Runtimes, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, offered(runtimes.values())) as stack:
            id = await stack.submit(
                "python", "print('live', flush=True)\nwhile True: pass", limits={"wall": 60, "cpu": 60}
            )
            headers = {"Authorization": f"Bearer {stack.ada}"}
            async with stack.session.get(f"{stack.url}/v1/jobs/{id}/events", headers=headers) as events:
                kinds = []
                async for raw in events.content:
                    line = raw.decode().strip()
                    if line.startswith("event: "):
                        kinds.append(line.removeprefix("event: "))
                    if line.startswith("data: ") and kinds[-1] == "stdout":
                        assert json.loads(line.removeprefix("data: "))["text"] == "live\n"
                        await stack.ask("DELETE", f"/v1/jobs/{id}")
            assert kinds == ["queued", "started", "stdout", "cancelling", "finished"]
            job = await stack.ended(id)
            assert (job["verdict"], job["stdout"]) == ("cancelled", "live\n")

    asyncio.run(scenario())


def test_exec_run_shows_output_on_the_streams_that_it_came_from(
    runtimes: Runtimes, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / "program.py"
    file.write_text(
        "import sys\nsys.stdout.buffer.write(b'\\xff out ' + sys.stdin.buffer.read())\n"
        "print('err', file=sys.stderr)\nsys.exit(7)"
    )
    stdin = tmp_path / "input"
    stdin.write_bytes(b"\x00in")

    async def scenario() -> None:
        async with running(tmp_path, offered(runtimes.values())) as stack:
            assert await exec_(stack, "run", str(file), "--stdin", str(stdin)) == 1
            captured = capsysbinary.readouterr()
            assert captured.out == b"\xff out \x00in"
            assert captured.err == b"err\nholdfast: runtime_error, exit code 7\n"
            assert await exec_(stack, "run", str(file), "--exit-code") == 7

    asyncio.run(scenario())


def test_exec_run_prints_what_came_live_once(
    runtimes: Runtimes, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / "slow.py"
    file.write_text("import time\nfor i in range(5):\n    print(i, flush=True)\n    time.sleep(0.08)\n")

    async def scenario() -> None:
        async with running(tmp_path, offered(runtimes.values())) as stack:
            assert await exec_(stack, "run", str(file)) == 0
        assert capsysbinary.readouterr().out == b"0\n1\n2\n3\n4\n"

    asyncio.run(scenario())


def test_exec_run_shows_what_the_compiler_said(
    runtimes: Runtimes, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    if not runtimes["c"].available:
        assert runtimes["c"].remedy
        return
    file = tmp_path / "broken.c"
    file.write_text("int main(void) { return nothing; }")

    async def scenario() -> None:
        async with running(tmp_path, offered(runtimes.values())) as stack:
            assert await exec_(stack, "run", str(file)) == 1
        captured = capsysbinary.readouterr()
        assert captured.out == b""
        assert b"broken.c:1" in captured.err
        assert b"holdfast: compile_error" in captured.err

    asyncio.run(scenario())


def test_exec_answers_json_and_nothing_else(
    runtimes: Runtimes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "program.py"
    file.write_text("print('hello')")

    async def scenario() -> None:
        async with running(tmp_path, offered(runtimes.values())) as stack:

            async def read(*words: str, key: str | None = None) -> Any:
                assert await exec_(stack, *words, "--json", key=key) == 0
                captured = capsys.readouterr()
                assert captured.err == ""
                return json.loads(captured.out)

            assert (await read("run", str(file)))["stdout"] == "hello\n"
            assert {"queued", "running", "slots", "tenants"} <= (await read("queue", key=stack.operator)).keys()
            assert await read("dead-letters") == {"dead_letters": []}
            assert await read("replay", "--all") == {"replayed": []}
            found = {one["language"]: one["available"] for one in (await read("runtimes"))["runtimes"]}
            assert found == {name: runtime.available for name, runtime in runtimes.items()}

    asyncio.run(scenario())


def test_exec_shows_tables(runtimes: Runtimes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        async with running(tmp_path, offered(runtimes.values())) as stack:
            assert await exec_(stack, "queue", key=stack.operator) == 0
            assert "oldest s" in capsys.readouterr().out
            assert await exec_(stack, "dead-letters") == 0
            assert "died at" in capsys.readouterr().out
            assert await exec_(stack, "runtimes") == 0
            assert "Python" in capsys.readouterr().out
            assert await exec_(stack, "queue") == 1  # not an operator
            assert "give another key with --key or HOLDFAST_KEY" in capsys.readouterr().err

    asyncio.run(scenario())


def test_exec_run_cancels_the_job_when_it_is_interrupted(runtimes: Runtimes, tmp_path: Path) -> None:
    file = tmp_path / "endless.py"
    file.write_text("print('there', flush=True)\nwhile True: pass")

    async def scenario() -> None:
        async with running(tmp_path, offered(runtimes.values())) as stack:
            words = ("exec", "run", str(file), "--timeout", "60s", "--url", stack.url)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "holdfast", *words, stdout=-1, stderr=-1, env={"HOLDFAST_KEY": stack.ada}
            )  # fmt: skip
            assert process.stdout is not None
            async with asyncio.timeout(30):
                assert await process.stdout.readline() == b"there\n"
                process.send_signal(2)
                _, err = await process.communicate()
            assert process.returncode == 130  # as shells have it: 128 and SIGINT
            assert b"Traceback" not in err
            (job,) = (await stack.ask("GET", "/v1/jobs"))["jobs"]
            assert (await stack.ended(job["id"]))["verdict"] == "cancelled"

    asyncio.run(scenario())


def test_the_workers_key_and_environment_are_out_of_a_programs_reach(
    runtimes: Runtimes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_CANARY", "canary-9021")

    async def scenario() -> None:
        async with running(tmp_path, offered(runtimes.values())) as stack:
            source = (
                "import os, glob\n"
                "print(dict(os.environ))\n"
                "for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline'):\n"
                "    try: print(open(path, 'rb').read())\n"
                "    except OSError as error: print(error)\n"
            )
            job = await stack.ended(await stack.submit("python", source))
            assert job["verdict"] == "ok", job
            assert "canary-9021" not in job["stdout"]
            assert stack.worker_key not in job["stdout"]

    asyncio.run(scenario())


def test_a_job_that_a_stopping_worker_cannot_finish_is_queued_again_and_no_attempt_is_counted(
    runtimes: Runtimes, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with running(tmp_path, offered(runtimes.values()), drain_s=0.05) as stack:
            limits = {"wall": 60, "cpu": 60}
            id = await stack.submit("python", "while True: pass", limits=limits)
            await stack.reaches(id, "running")
            stack.worker.stop()
            assert (await stack.reaches(id, "queued"))["attempts"] == 0

    asyncio.run(scenario())


def test_a_job_that_ends_while_the_api_is_away_is_reported_when_it_is_back(runtimes: Runtimes, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, offered(runtimes.values())) as stack:
            id = await stack.submit("python", "import time; time.sleep(0.5); print('late')")
            await stack.reaches(id, "running")
            await stack.restart(meanwhile=eventually(lambda: stack.worker.idle, within_s=20))
            job = await stack.ended(id)
            assert (job["verdict"], job["stdout"], job["attempts"]) == ("ok", "late\n", 1)

    asyncio.run(scenario())
