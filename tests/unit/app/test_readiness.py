"""The line that says ready, and the datagram to systemd."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from holdfast.app import readiness


def test_addresses_survive_the_pipe() -> None:
    addresses = {"front door": "http://[::1]:8080", "ä": "\n"}
    line = readiness.encode(addresses)
    assert line.count(b"\n") == 1
    assert readiness.decode(line) == addresses


@pytest.mark.parametrize(
    "line", [b"", b"READY", b"READY {", b"READY {\n", b"READY []\n", b"READYX {}\n", b"{}\n", b"READY \xff\n"]
)
def test_anything_else_is_not_ready(line: bytes) -> None:
    assert readiness.decode(line) is None


def test_a_program_may_say_ready_without_addresses() -> None:
    assert readiness.decode(b"READY\n") == {}


def test_readiness_is_announced_once_and_the_pipe_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    monkeypatch.setenv(readiness.READY_FD, str(write))
    monkeypatch.delenv(readiness.NOTIFY_SOCKET, raising=False)
    assert readiness.supervised()
    readiness.announce({"door": "http://h:1"})
    readiness.announce({"door": "http://h:2"})
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b'READY {"door": "http://h:1"}\n'


@pytest.mark.parametrize("value", ["999", "not a number", "-1"])
def test_a_useless_descriptor_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(readiness.READY_FD, value)
    readiness.announce({})


def test_nobody_listening_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for value in ("", "relative", str(tmp_path / "gone")):
        monkeypatch.setenv(readiness.NOTIFY_SOCKET, value)
        assert not readiness.notify("READY=1")


def test_an_abstract_socket_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("")  # the kernel picks an abstract name
        systemd.settimeout(5)
        monkeypatch.setenv(readiness.NOTIFY_SOCKET, "@" + systemd.getsockname()[1:].decode())
        assert readiness.notify("STOPPING=1")
        assert systemd.recv(100) == b"STOPPING=1"
