"""Only what a sandbox can start is offered, and what is missing says why."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.execution.shell.languages import Runtime, detect, detection, offered
from holdfast.execution.shell.languages.profile import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

PROFILE = """
name: demo
title: Demo
extensions: [.d]
file: main.d
toolchains:
  - package: demo-tools
    programs: {demo: {find: [FIND], version: [--version]MINIMUM}}
    run: {argv: ['{demo}', '{entry}']}
"""


@pytest.fixture
def roots(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that stands for ``/usr``: open to everybody, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        monkeypatch.setattr(detection, "SANDBOX_ROOTS", ("/usr", "/bin", name))
        yield Path(name)


def program(path: Path, script: str, mode: int = 0o755) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


def look(find: object, minimum: str = "") -> Runtime:
    text = PROFILE.replace("FIND", str(find)).replace("MINIMUM", f", minimum: '{minimum}'" if minimum else "")
    (runtime,) = asyncio.run(detect({"demo": decode(text.encode(), "demo.yaml")}))
    assert runtime.available == (runtime.missing_reason is None) == (runtime.installed is not None)
    return runtime


def test_a_program_that_prints_its_version_is_offered(roots: Path) -> None:
    runtime = look(program(roots / "demo", "echo demo 1.2.3"))
    assert runtime.version == "1.2.3"
    assert set(offered([runtime])) == {"demo"}


def test_a_version_on_standard_error_counts(roots: Path) -> None:
    assert look(program(roots / "demo", "echo demo 1.2.3 >&2; exit 1")).version == "1.2.3"


def test_what_is_not_there_is_missing_with_the_package_to_install() -> None:
    runtime = look("no-such-program-anywhere")
    assert runtime.missing_reason == "no-such-program-anywhere is not installed"
    assert runtime.remedy == "sudo apt-get install demo-tools"
    assert offered([runtime]) == {}


def test_a_program_outside_of_what_sandboxes_see_is_missing(tmp_path: Path) -> None:
    path = program(tmp_path / "demo", "echo 1.2.3")
    assert look(path).missing_reason == f"{path} lies outside of what sandboxes see (/usr)"


def test_a_link_is_judged_by_where_it_leads(roots: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    hidden = program(tmp_path_factory.mktemp("home") / "demo", "echo 1.2.3")
    (roots / "demo").symlink_to(hidden)
    assert str(hidden) in (look(roots / "demo").missing_reason or "")


@pytest.mark.parametrize(("mode", "directory"), [(0o750, 0o755), (0o755, 0o750)])
def test_a_program_that_another_user_cannot_read_is_missing(roots: Path, mode: int, directory: int) -> None:
    inner = roots / "bin"
    inner.mkdir()
    path = program(inner / "demo", "echo 1.2.3", mode)
    inner.chmod(directory)
    assert "cannot be read by the user of a sandbox (mode 750)" in (look(path).missing_reason or "")


@pytest.mark.parametrize(("minimum", "fits"), [("1.2.3", True), ("1.10", False), ("1.2", True), ("0.9.9", True)])
def test_versions_are_compared_as_numbers(roots: Path, minimum: str, fits: bool) -> None:
    runtime = look(program(roots / "demo", "echo v1.2.3"), minimum)
    assert runtime.available is fits
    if not fits:
        assert f"is version 1.2.3, older than {minimum}" in (runtime.missing_reason or "")


def test_a_program_that_says_something_else_is_missing(roots: Path) -> None:
    reason = look(program(roots / "demo", "echo please configure me")).missing_reason
    assert reason is not None
    assert "printed no version but 'please configure me'" in reason


def test_a_program_that_never_ends_is_killed_and_missing(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "VERSION_DEADLINE_S", 0.1)
    reason = look(program(roots / "demo", "sleep 60 & sleep 60")).missing_reason
    assert reason is not None
    assert "within 0.1 s" in reason


def test_a_program_that_prints_without_end_is_read_to_a_bound(roots: Path) -> None:
    assert look(program(roots / "demo", "echo 1.2.3; exec yes")).version == "1.2.3"


def test_a_program_gets_an_empty_environment(roots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_WORKER_KEY", "9.9.9")
    assert look(program(roots / "demo", 'echo "1.0.0$HOLDFAST_WORKER_KEY"')).version == "1.0.0"


def test_a_file_that_cannot_be_started_is_missing(roots: Path) -> None:
    assert "cannot be started" in (look(program(roots / "demo", "x", 0o644)).missing_reason or "")
