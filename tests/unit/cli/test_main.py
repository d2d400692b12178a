"""Exit codes, what is printed where, and what is never printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import holdfast
from holdfast.app import services
from holdfast.app.supervisor import ServiceFailed
from holdfast.cli import main
from holdfast.cli.commands import run_app
from holdfast.cli.main import SERVICES, service
from holdfast.evidence import Claim
from tests.unit.evidence.records import small_record

MINIMAL = (
    "balancer:\n  listen: ['127.0.0.1:0']\n  admin: null\n"
    '  pools: {web: {backends: [{id: a, url: "http://127.0.0.1:9001"}]}}\n'
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "holdfast.yaml"
    path.write_text(MINIMAL)
    return path


@pytest.fixture(autouse=True)
def _no_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_DEBUG", raising=False)


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_the_version_is_the_package_version(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"holdfast {holdfast.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["check"],
        ["check", "--nonsense"],
        ["run", "nonsense"],
        ["up", "--port-base", "80"],
        ["drill", "run"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2_with_a_usage_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Usage: holdfast" in captured.err


def test_check_prints_yaml_that_can_be_read_back(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", str(file)]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["balancer"]["pools"]["web"]["retry"]["per_try_timeout"] == "2s"
    file.write_text(printed)
    assert main(["check", "-c", str(file)]) == 0
    assert capsys.readouterr().out == printed


def test_check_prints_json_for_machines(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", str(file), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert document["config"]["balancer"]["workers"] == 2


def test_check_prints_problems_as_json_for_machines(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(MINIMAL + "  workers: x\n")
    assert main(["check", "-c", str(file), "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "problems": [
            {
                "file": str(file),
                "line": 5,
                "path": "balancer.workers",
                "value": '"x"',
                "message": "not a whole number",
                "remedy": "write a whole number",
            }
        ],
    }


def test_a_file_that_is_already_running_can_be_checked_without_its_ports(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import socket

    with socket.socket() as running:
        running.bind(("127.0.0.1", 0))
        running.listen()
        file.write_text(MINIMAL.replace(":0'", f":{running.getsockname()[1]}'"))
        assert main(["check", "-c", str(file)]) == 2
        assert "is in use" in capsys.readouterr().err
        assert main(["check", "-c", str(file), "--no-ports"]) == 0


def test_an_error_of_ours_is_its_text_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ServiceFailed("balancer", "exit status 3", ["the disk is full"])

    monkeypatch.setattr("holdfast.cli.up.run_services", fail)
    assert main(["up", "-c", str(file)]) == 1
    assert capsys.readouterr().err == "balancer: exit status 3; its last lines:\n    the disk is full\n"


def test_an_unexpected_error_is_one_line_that_says_how_to_see_more(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise LookupError("first\nsecond")

    monkeypatch.setattr("holdfast.cli.up.run_services", fail)
    assert main(["up", "-c", str(file)]) == 1
    assert capsys.readouterr().err == (
        "holdfast: unexpected LookupError: first; "
        "run it again with HOLDFAST_DEBUG=1 for the traceback, and please report it\n"
    )
    monkeypatch.setenv("HOLDFAST_DEBUG", "1")
    assert main(["up", "-c", str(file)]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_error_of_ours_out_of_a_task_group_is_its_text_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ExceptionGroup("tasks", [ExceptionGroup("inner", [ServiceFailed("balancer", "gone", [], exit_code=2)])])

    monkeypatch.setattr("holdfast.cli.up.run_services", fail)
    assert main(["up", "-c", str(file)]) == 2
    assert capsys.readouterr().err == "balancer: gone\n"


def test_doctor_reports_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert {"python", "uvloop", "cpu", "open files", "SO_REUSEPORT", "IPv6", "state", "haproxy", "nginx", "wrk"} <= set(
        findings
    )
    assert findings["python"]["level"] == "ok"
    assert all(finding["remedy"] for finding in findings.values() if finding["level"] != "ok")


def test_doctor_prints_a_line_per_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("ok ", "warn ", "fail ")) for line in lines)


def test_doctor_holds_a_configuration_against_the_machine(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(MINIMAL + "  workers: 256\n  limits: {connections: 1000000}\n")
    assert main(["doctor", "--json", "-c", str(file)]) == 0
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert "256 workers configured" in findings["cpu"]["detail"]
    assert "1000000 connections per worker want 2000256" in findings["open files"]["detail"]
    assert "port 8080" not in findings


def test_drills_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "list"]) == 0
    assert re.search(r"^flapping +\w", capsys.readouterr().out, re.MULTILINE)
    assert main(["drill", "list", "--json"]) == 0
    assert "flapping" in [drill["name"] for drill in json.loads(capsys.readouterr().out)]


def test_an_unknown_drill_is_told_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "run", "nonsense"]) != 0
    assert "flapping" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("quick", "in_quick", "holds", "code"),
    [(False, False, True, 0), (False, False, False, 1), (True, False, False, 0), (True, True, False, 1)],
)
def test_a_drill_fails_if_a_claim_that_it_can_judge_does_not_hold(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    quick: bool,
    in_quick: bool,
    holds: bool,
    code: int,
) -> None:
    calls: list[Any] = []

    def run_drill(name: str, *, quick: bool, seed: int | None, out: Path, progress: Any) -> Path:
        progress("working")
        calls.append((name, quick, seed, out))
        return out / name / "1.json"

    claim = Claim.judge("it holds", "holdfast.errors", "==", 0, 0 if holds else 1, in_quick=in_quick)
    record = msgspec.structs.replace(small_record(), quick=quick, claims=(claim,))
    monkeypatch.setattr("holdfast.drills.run_drill", run_drill)
    monkeypatch.setattr("holdfast.evidence.load", lambda _: record)
    arguments = ["drill", "run", "flapping", "--seed", "7", "--out", str(tmp_path)]
    assert main([*arguments, "--quick"] if quick else arguments) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"{tmp_path}/flapping/1.json\n", "")
    assert calls == [("flapping", quick, 7, tmp_path)]


def test_comparing_something_that_is_no_evidence_is_an_error_without_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert main(["drill", "compare", str(tmp_path / "a.json"), str(tmp_path / "gone.json")]) != 0
    captured = capsys.readouterr()
    assert "a.json" in captured.err
    assert "unexpected" not in captured.err


def test_help_answers_without_loading_what_only_a_command_needs() -> None:
    script = (
        "import sys, io, contextlib\nfrom holdfast.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()): assert main(['--help']) == 0\n"
        "print(*sorted(set(sys.modules) & {'yaml', 'msgspec', 'uvloop', 'asyncio', 'ssl', 'litestar', 'httptools'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "\n"


def test_what_serves_for_months_does_not_carry_the_framework_of_the_command_line(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom holdfast.cli import main\n"
        f"assert main(['run', 'gateway', '-c', {str(tmp_path / 'none.yaml')!r}]) == 2\n"
        "print(*sorted(set(sys.modules) & {'typer', 'pydantic', 'rich', 'uvicorn', 'jsonpath'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "\n"
    assert "none.yaml" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "gateway"],
        ["run", "gateway", "-c"],
        ["run", "gateway", "-c", "--help"],
        ["run", "agent", "-c", "a.yaml"],
        ["up", "-c", "a.yaml"],
        ["run", "gateway", "-c", "a.yaml", "--more"],
    ],
)
def test_only_the_form_that_the_supervisor_uses_is_read_without_the_framework(arguments: list[str]) -> None:
    assert service(arguments) is None


def test_every_service_that_needs_nothing_but_a_file_is_a_command_as_well() -> None:
    commands = {command.name: command for command in run_app.registered_commands}
    for name, function in SERVICES.items():
        callback = commands[name].callback
        assert callback is not None
        assert callback.__name__ == function
        assert callable(getattr(services, function))
