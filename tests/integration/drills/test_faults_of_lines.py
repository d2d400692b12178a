"""Faults of sockets, processes and networks, each on a line that really carries bytes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from holdfast.drills import namespaces
from holdfast.drills.namespaces import Cable, Star
from holdfast.drills.process import Child, free_port
from tests.machine import require_tool

ECHO: Final = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while True:
    line, _ = server.accept()
    while data := line.recv(4096):
        line.sendall(data)
"""
ASK: Final = """
import socket, sys, time
began = time.monotonic()
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as line:
        line.sendall(b"hello")
        assert line.recv(5) == b"hello"
        print(time.monotonic() - began)
except OSError:
    print("lost")
"""
DELAY_S: Final = 0.15
only_root = pytest.mark.skipif(namespaces.missing() is not None, reason="only root may make network namespaces")


@contextmanager
def echo(address: str, port: int, inside: tuple[str, ...] = ()) -> Iterator[None]:
    argv = [*inside, sys.executable, "-I", "-S", "-c", ECHO, address, str(port)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield
        finally:
            server.kill()


def asked(inside: tuple[str, ...], address: str, port: int, *, within_s: float = 5.0) -> str:
    argv = [*inside, sys.executable, "-I", "-S", "-c", ASK, address, str(port), str(within_s)]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@contextmanager
def relayed(tmp_path: Path, delay_s: float = 0.0) -> Iterator[tuple[Child, socket.socket]]:
    port, late = free_port(), free_port()
    with echo("127.0.0.1", port):
        words = (f"127.0.0.1:{late}", "127.0.0.1", str(port), str(delay_s))
        relay = Child([sys.executable, "-P", "-m", "holdfast.drills.relay", *words], log=tmp_path / "relay.log")
        try:
            # The wait connects once; the echo server answers one client after the other.
            relay.wait_until_listening(late)
            with socket.create_connection(("127.0.0.1", late), timeout=10.0) as line:
                line.sendall(b"first")
                assert line.recv(5) == b"first"
                yield relay, line
        finally:
            if not relay.over:
                relay.stop()


def test_a_relay_delays_every_byte_each_way_and_keeps_their_order(tmp_path: Path) -> None:
    with relayed(tmp_path, DELAY_S) as (_, line):
        began = time.monotonic()
        for word in (b"one,", b"two,", b"three"):
            line.sendall(word)
        received = b""
        while len(received) < 13:
            received += line.recv(64)
        assert received == b"one,two,three"
        assert time.monotonic() - began >= 2 * DELAY_S


def test_a_stopped_relay_is_silent_and_a_continued_one_loses_nothing(tmp_path: Path) -> None:
    with relayed(tmp_path) as (relay, line):
        os.kill(relay.pid, signal.SIGSTOP)
        line.sendall(b"hello")
        line.settimeout(0.2)
        with pytest.raises(TimeoutError):
            line.recv(5)
        os.kill(relay.pid, signal.SIGCONT)
        line.settimeout(10.0)
        assert line.recv(5) == b"hello"


def test_a_killed_relay_ends_what_was_open(tmp_path: Path) -> None:
    with relayed(tmp_path) as (relay, line):
        assert relay.kill() == -signal.SIGKILL
        try:
            assert line.recv(5) == b""
        except ConnectionResetError:
            pass


@only_root
def test_a_pulled_cable_carries_nothing_until_it_is_plugged_in() -> None:
    with Cable() as cable, echo(cable.near_address, 7000, cable.inside(cable.near)):
        far = cable.inside(cable.far)
        assert float(asked(far, cable.near_address, 7000)) < 5.0
        cable.pull()
        assert asked(far, cable.near_address, 7000, within_s=0.3) == "lost"
        cable.plug_in()
        assert float(asked(far, cable.near_address, 7000)) < 5.0


@only_root
@pytest.mark.parametrize("by_netem", [True, False])
def test_a_delayed_cable_is_late_each_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_netem: bool) -> None:
    if by_netem and not namespaces.has_netem():
        pytest.skip("this kernel has no netem")
    monkeypatch.setattr(namespaces, "has_netem", lambda: by_netem)
    with Cable() as cable, echo(cable.near_address, 7000, cable.inside(cable.near)):
        far = cable.inside(cable.far)
        with cable.delayed(7000, DELAY_S, tmp_path) as port:
            assert float(asked(far, cable.near_address, port)) >= 2 * DELAY_S
        assert float(asked(far, cable.near_address, 7000)) < 2 * DELAY_S


@only_root
def test_a_region_that_is_cut_reaches_no_target_and_still_the_hub() -> None:
    require_tool("nft", "nftables")
    with Star(("eu", "us"), 1) as star, echo("0.0.0.0", 7000, star.inside()):
        target = star.targets[0]
        star.cut("eu")
        assert asked(star.inside("eu"), target, 7000, within_s=0.3) == "lost"
        assert asked(star.inside("eu"), star.hub_address, 7000) != "lost"
        assert asked(star.inside("us"), target, 7000) != "lost"
        star.lose("eu", per_mille=999)
        assert "lost" in {asked(star.inside("eu"), target, 7000, within_s=0.3) for _ in range(3)}
        star.lose("eu", per_mille=0)
        assert asked(star.inside("eu"), target, 7000) != "lost"
