"""``holdfast exec`` against a service that answers as told, and without one."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from holdfast.cli import remote
from holdfast.cli.main import main
from tests.integration.execution.stack import sandboxes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ID = "01JDWQ4Z0000000000000000AA"


def event(kind: str, number: int, **fields: Any) -> bytes:
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(fields)}\n\n".encode()


def output(stream: str, number: int, data: bytes) -> bytes:
    return event(stream, number, base64=base64.b64encode(data).decode())


@dataclass
class Script:
    """What the service says: ``streams`` one after the other, each a list of pieces, and then ``job``."""

    streams: list[list[bytes]] = field(default_factory=list)
    job: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, web.Response] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        if (answer := self.answers.get(request.path)) is not None:
            return answer
        if request.path == "/v1/jobs":
            return web.json_response({"id": ID, "status": "queued"}, status=202)
        if request.path.endswith("/events"):
            self.asked[-1] = ("EVENTS", request.headers.get("Last-Event-ID", ""), None)
            if not self.streams:
                return web.Response(status=204)
            stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await stream.prepare(request)
            for piece in self.streams.pop(0):
                await stream.write(piece)
            return stream
        return web.json_response(self.job)


def result(**fields: Any) -> dict[str, Any]:
    return {
        "verdict": "ok",
        "status": "finished",
        "exit_code": 0,
        "encoding": "base64",
        "stdout": "",
        "stderr": "",
    } | fields


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@contextlib.asynccontextmanager
async def serving(script: Script) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", script.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    script.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield
    finally:
        await runner.cleanup()


def exec_(script: Script, *words: str, key: str = "hf_key") -> int:
    """The exit code of ``holdfast exec WORDS`` while the service says its script."""

    async def scenario() -> int:
        async with serving(script):
            return await asyncio.to_thread(main, ["exec", *words, "--url", script.url, "--key", key])

    return asyncio.run(scenario())


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOLDFAST_URL", "HOLDFAST_KEY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "program.py"
    file.write_text("print('hello')")
    return file


def test_a_program_is_sent_with_its_name_input_arguments_and_limit(program: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\xff")
    script = Script(job=result())
    words = ("--stdin", str(tmp_path / "in"), "--arg", "-a", "--arg", "b", "--timeout", "1m30s")
    assert exec_(script, "run", str(program), *words) == 0
    assert script.asked[0] == (
        "POST",
        "/v1/jobs",
        {
            "language": "python",
            "files": [{"path": "program.py", "content_base64": b64(b"print('hello')")}],
            "entry": "program.py",
            "args": ["-a", "b"],
            "stdin_base64": b64(b"\xff"),
            "limits": {"wall": 90.0},
        },
    )


def test_live_output_is_written_once_and_the_rest_comes_from_the_result(
    program: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    script = Script(
        streams=[[event("queued", 1), event("started", 2), output("stdout", 3, b"one "), event("finished", 4)]],
        job=result(stdout=b64(b"one two"), stderr=b64(b"err")),
    )
    assert exec_(script, "run", str(program)) == 0
    assert capsysbinary.readouterr() == (b"one two", b"err")


def test_a_stream_that_breaks_is_taken_up_where_it_broke(
    program: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    first, second = output("stdout", 3, b"one "), output("stdout", 4, b"two")
    script = Script(
        streams=[[event("started", 2), first[:-1]], [first + second[:20]], [second, event("finished", 5)]],
        job=result(stdout=b64(b"one two")),
    )
    assert exec_(script, "run", str(program)) == 0
    assert capsysbinary.readouterr().out == b"one two"
    assert [last for kind, last, _ in script.asked if kind == "EVENTS"] == ["", "2", "3"]


def test_output_of_a_second_attempt_comes_from_its_start(
    program: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    script = Script(
        streams=[
            [
                event("started", 1),
                output("stdout", 2, b"abc"),
                event("retry", 3),
                event("started", 4),
                event("finished", 5),
            ]
        ],
        job=result(stdout=b64(b"abcdef")),
    )
    assert exec_(script, "run", str(program)) == 0
    assert capsysbinary.readouterr().out == b"abcabcdef"


@pytest.mark.parametrize(
    ("job", "said", "plain", "passed_on"),
    [
        (result(), "", 0, 0),
        (result(verdict="runtime_error", exit_code=3), "holdfast: runtime_error, exit code 3\n", 1, 3),
        (result(verdict="killed", exit_code=None, signal=9), "holdfast: killed, signal 9\n", 1, 137),
        (result(verdict="time_limit", exit_code=None), "holdfast: time_limit\n", 1, 1),
        (
            result(verdict=None, status="dead", exit_code=None, dead_reason="lease lost"),
            "holdfast: dead, lease lost\n",
            1,
            1,
        ),
        (
            result(verdict="cancelled", exit_code=None, message="cancelled by ada", stdout=None, stderr=None),
            "holdfast: cancelled, cancelled by ada\n",
            1,
            1,
        ),
    ],
)
def test_the_exit_code_is_the_verdicts_or_the_programs(
    program: Path, capsys: pytest.CaptureFixture[str], job: dict[str, Any], said: str, plain: int, passed_on: int
) -> None:
    assert exec_(Script(job=job), "run", str(program)) == plain
    assert capsys.readouterr().err == said
    assert exec_(Script(job=job), "run", str(program), "--exit-code") == passed_on


def test_an_escape_sequence_in_a_message_does_not_reach_the_terminal_raw(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = result(verdict=None, status="dead", exit_code=None, dead_reason="\x1b]0;title\x07 bad")
    exec_(Script(job=job), "run", str(program))
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "body", "headers", "said", "code"),
    [
        (
            401,
            {"title": "No valid API key", "detail": "it ended"},
            {},
            "No valid API key: it ended; give another key",
            1,
        ),
        (422, {"title": "There is no such language"}, {}, "There is no such language", 2),
        (429, {"title": "Too much"}, {"Retry-After": "7"}, "Too much; try again in 7 s", 1),
        (500, None, {}, "answered 500; is it the execution service?", 1),
    ],
)
def test_a_refusal_is_one_line_with_its_remedy(
    program: Path,
    capsys: pytest.CaptureFixture[str],
    status: int,
    body: dict[str, str] | None,
    headers: dict[str, str],
    said: str,
    code: int,
) -> None:
    answer = web.Response(status=status, text="no" if body is None else json.dumps(body), headers=headers)
    assert exec_(Script(answers={"/v1/jobs": answer}), "run", str(program)) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_service_that_is_not_there_is_named_with_the_remedy(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Script()
    exec_(script, "queue")
    capsys.readouterr()
    assert main(["exec", "run", str(program), "--url", script.url, "--key", "k"]) == 1
    assert f"{script.url} cannot be reached" in (said := capsys.readouterr().err)
    assert "holdfast up" in said


def test_events_that_never_end_are_given_up(
    program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "RECONNECTS", 2)
    script = Script(streams=[[b": nothing\n\n"] for _ in range(9)], job=result())
    assert exec_(script, "run", str(program)) == 1
    assert "without an end" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["queue"], "no service is configured; give --url"),
        (["queue", "--url", "http://127.0.0.1:1"], "the service wants a key; give --key"),
        (["run", "FILE", "--language", "cobol"], "cobol: no known language; give --language one of bash"),
        (["run", "nothing.py", "--url", "http://127.0.0.1:1", "--key", "k"], "nothing.py: No such file"),
        (["run", "FILE", "--stdin", "nowhere"], "nowhere: No such file"),
        (["replay"], "which dead letters?"),
        (["replay", ID, "--all"], "which dead letters?"),
    ],
)
def test_what_cannot_be_done_says_what_to_give(
    program: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["exec", *(str(program) if word == "FILE" else word for word in words)]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ([ID], {"ids": [ID]}),
        (["--all"], {"all": True}),
        (["--language", "go", "--reason", "oom"], {"language": "go", "reason": "oom"}),
        (["--all", "--language", "go"], {"language": "go"}),
    ],
)
def test_replay_asks_for_what_was_named(
    program: Path, capsys: pytest.CaptureFixture[str], words: list[str], body: dict[str, Any]
) -> None:
    script = Script(answers={"/v1/dead-letters/replay": web.json_response({"replayed": [ID]})})
    assert exec_(script, "replay", *words) == 0
    assert script.asked == [("POST", "/v1/dead-letters/replay", body)]
    assert capsys.readouterr() == (f"{ID}\n", "1 jobs are queued again\n")


def test_dead_letters_are_read_page_by_page(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    letter = {"id": ID, "language": "go", "died_at": "2026", "reason": "[red]x", "attempts": 3, "replayed_at": None}
    script = Script(job={"dead_letters": [letter] * 100, "next": ID})
    assert exec_(script, "dead-letters", "--limit", "250", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["dead_letters"]) == 300
    assert [path for _, path, _ in script.asked] == [
        "/v1/dead-letters?limit=100",
        f"/v1/dead-letters?limit=100&cursor={ID}",
        f"/v1/dead-letters?limit=50&cursor={ID}",
    ]
    assert exec_(script, "dead-letters", "--limit", "1") == 0
    assert "[red]x" in capsys.readouterr().out


def test_without_a_service_a_program_runs_in_a_sandbox_of_this_machine(
    program: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    async def here() -> None:  # skips where there are no sandboxes
        async with sandboxes(slots=1):
            pass

    asyncio.run(here())
    assert main(["exec", "run", str(program)]) == 0
    assert capfdbinary.readouterr() == (b"hello\n", b"")
    program.write_text("import sys\nprint(sys.stdin.read(), sys.argv[1])\nsys.exit(5)")
    (program.parent / "in").write_text("input")
    words = ["--stdin", str(program.parent / "in"), "--arg", "x", "--exit-code"]
    assert main(["exec", "run", str(program), *words]) == 5
    assert capfdbinary.readouterr() == (b"input x\n", b"holdfast: runtime_error, exit code 5\n")
    program.write_text("while True: pass")
    assert main(["exec", "run", str(program), "--timeout", "300ms", "--json"]) == 1
    assert json.loads(capfdbinary.readouterr().out)["verdict"] == "time_limit"


def test_the_languages_of_this_machine_are_listed_without_a_service(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["exec", "runtimes", "--json"]) == 0
    found = {one["language"]: one for one in json.loads(capsys.readouterr().out)["runtimes"]}
    assert len(found) == 12
    assert found["python"]["available"]
    assert all(one["available"] or one["missing_reason"] for one in found.values())
    assert main(["exec", "runtimes"]) == 0
    assert "TypeScript" in capsys.readouterr().out
