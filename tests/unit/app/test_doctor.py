"""What the doctor says about machines that are not this one."""

from __future__ import annotations

import resource
import shutil
import socket
import tempfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from holdfast.app import doctor
from holdfast.app.doctor import Finding, examine


def found(name: str) -> Finding:
    return next(finding for finding in examine() if finding.name == name)


def test_few_open_files_cost_connections_and_the_remedy_fits_the_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1048576))
    assert found("open files").remedy == "ulimit -n 16640, or set balancer.limits.connections to 384"
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    finding = found("open files")
    assert finding.level == "warn"
    assert finding.remedy.startswith("raise the hard limit (4096; LimitNOFILE= in a systemd unit), or ")


def test_missing_software_is_a_warning_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(_: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(doctor, "version", version)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert (found("uvloop").level, found("uvloop").detail) == ("warn", "not installed")
    assert found("haproxy").remedy == "apt-get install haproxy, if you want to run drills"


def test_a_kernel_that_cannot_share_ports_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("Protocol not available")

    monkeypatch.setattr(socket.socket, "setsockopt", refuse)
    finding = found("SO_REUSEPORT")
    assert (finding.level, finding.remedy.split(";")[0]) == ("fail", "use Linux 3.9 or later")


def test_a_state_directory_that_cannot_be_written_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert found("state").detail == f"{tmp_path}/state/holdfast is writable"
    assert not (tmp_path / "state").exists(), "looking changes nothing"

    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert (found("state").level, found("state").detail) == ("warn", f"{tmp_path}/state/holdfast: Permission denied")


def test_a_taken_default_port_is_told_with_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "bind_problem", lambda _, port: ("port is in use by x (pid 1)", "") if port else None)
    assert found("port 8080").detail == "front door: port is in use by x (pid 1)"
    assert "--port-base" in found("port 8080").remedy
