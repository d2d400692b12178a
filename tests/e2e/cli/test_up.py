"""`holdfast up` as a newcomer runs it: real processes, real ports, a real terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest

DEADLINE_S = 30.0


DEMO_PORTS = (0, 1, 2, 3, 4, 5, 7, 8, 14)
"""Front door, admin plane, AI gateway, code execution, NetPulse, console, status page, pager, agents; from the base."""
DEMO_SERVICES = 17


def free_base() -> int:
    """A base of which all ports of the demo are free, below those that the kernel hands out to clients."""
    for _ in range(1000):
        base = secrets.randbelow(1500) * 6 + 20_000
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for offset in DEMO_PORTS:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", base + offset))
            return base
    raise RuntimeError("no free ports for the demo")


def environment(tmp_path: Path) -> dict[str, str]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path), "COLUMNS": "120"}


@contextlib.contextmanager
def holdfast(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command with its standard error in a pipe; interrupted at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "holdfast", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment(tmp_path),
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(DEADLINE_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def wait_for(stream: IO[bytes] | None, **fields: Any) -> dict[str, Any]:
    """The next log line with these fields. The stream is unbuffered, so that nothing hides from ``select``."""
    assert stream is not None
    seen = b""
    deadline = time.monotonic() + DEADLINE_S
    while (left := deadline - time.monotonic()) > 0 and select.select([stream], [], [], left)[0]:
        if not (line := stream.readline()):
            break
        seen += line
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if all(record.get(name) == value for name, value in fields.items()):
                assert isinstance(record, dict)
                return record
    pytest.fail(f"no line with {fields} in\n{seen.decode(errors='replace')}")


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
        body: bytes = answer.read()
    return body.decode()


def run_code(api: str, key: str) -> str:
    """What a program prints that runs behind the front door."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({"language": "python", "source": "print(6 * 7)"}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{api}/v1/jobs", body, headers), timeout=DEADLINE_S) as answer:
        id = json.load(answer)["id"]
    waiting = urllib.request.Request(f"{api}/v1/jobs/{id}?wait=20s", headers=headers)
    with urllib.request.urlopen(waiting, timeout=DEADLINE_S) as answer:
        job = json.load(answer)
    assert (job["status"], job["verdict"]) == ("finished", "ok")
    return str(job["stdout"])


def test_the_demo_holds_while_a_backend_and_then_the_master_of_the_balancer_are_killed(tmp_path: Path) -> None:
    port = free_base()
    with holdfast(tmp_path, "up", "--port-base", str(port)) as process:
        started: dict[str, int] = {}
        while len(started) < DEMO_SERVICES:
            record = wait_for(process.stderr, action="service_up")
            started[record["service"]] = record["child_pid"]
        key = wait_for(process.stderr, action="demo_up")["key"]
        assert run_code(f"http://127.0.0.1:{port}/run", key) == "42\n"
        assert "Hello from backend" in fetch(f"http://127.0.0.1:{port}/demo/")
        assert "demo" in json.loads(fetch(f"http://127.0.0.1:{port + 1}/admin/backends"))["pools"]
        for victim in ("backend a", "balancer"):
            os.kill(started[victim], signal.SIGKILL)
            for _ in range(50):
                assert "Hello from backend" in fetch(f"http://127.0.0.1:{port}/demo/")
            record = wait_for(process.stderr, action="service_exited", service=victim)
            assert record["reason"] == "killed by SIGKILL"
            if victim == "backend a":
                assert record["restart_in_s"] == 45.0  # long enough to be noticed and paged about
            else:
                wait_for(process.stderr, action="service_up", service=victim)
            assert "Hello from backend" in fetch(f"http://127.0.0.1:{port}/demo/")
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
    assert not list(tmp_path.glob("holdfast-demo-*"))


def test_the_demo_shows_a_table_and_a_moving_line_on_a_terminal(tmp_path: Path) -> None:
    port = free_base()
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "holdfast", "up", "--port-base", str(port)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(tmp_path),
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            deadline = time.monotonic() + DEADLINE_S
            while not re.search(rb"requests [0-9]+, answered [1-9][0-9]*, errors 0; all 3 backends up", shown):
                assert time.monotonic() < deadline, shown.decode(errors="replace")
                if select.select([ours], [], [], 1.0)[0]:
                    shown += os.read(ours, 65536)
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # EIO: the last writer has gone
                while chunk := os.read(ours, 65536):
                    shown += chunk
            os.close(ours)
        assert process.wait(DEADLINE_S) == 0
    text = shown.decode(errors="replace")
    assert "holdfast is up" in text
    assert f"http://127.0.0.1:{port + 1}/admin/backends" in text
    assert "fails for 6 s of every 20" in text
    assert '{"ts"' not in text


@pytest.mark.parametrize("offset", [0, 1])
def test_a_taken_port_is_told_with_its_owner_and_the_way_out(tmp_path: Path, offset: int) -> None:
    base = free_base()
    with socket.socket() as owner:
        port = base + offset
        owner.bind(("127.0.0.1", port))
        owner.listen()
        with holdfast(tmp_path, "up", "--port-base", str(base)) as process:
            _, said = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 2
        errors = said.decode()
        name = Path("/proc/self/comm").read_text().strip()
        assert f"127.0.0.1:{port}: port {port} is in use by {name} (pid {os.getpid()}); " in errors
        assert re.search(r"stop that program, or run `holdfast up --port-base \d+`", errors)


FILE = """\
balancer:
  listen: ["127.0.0.1:{front}"]
  admin: "127.0.0.1:{admin}"
  workers: 1
  pools: {{web: {{backends: [{{id: a, url: "http://127.0.0.1:{backend}"}}]}}}}
  drain_timeout: 5s
"""


def test_closing_the_terminal_stops_everything(tmp_path: Path) -> None:
    port = free_base()
    file = tmp_path / "holdfast.yaml"
    file.write_text(FILE.format(front=port, admin=port + 1, backend=free_base()))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "holdfast", "up", "-c", str(file)],
        env=environment(tmp_path),
        preexec_fn=lambda: os.login_tty(theirs),  # noqa: PLW1509 - only so does it get this terminal as its own
    ) as process:
        os.close(theirs)
        shown = b""
        deadline = time.monotonic() + DEADLINE_S
        while b"holdfast is up" not in shown and time.monotonic() < deadline:
            if select.select([ours], [], [], 1.0)[0]:
                shown += os.read(ours, 65536)
        os.close(ours)
        assert process.wait(DEADLINE_S) == 0
    with pytest.raises(OSError, match="refused"):
        fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_file_is_run_reloaded_and_drained(tmp_path: Path, number: signal.Signals) -> None:
    port, backend = free_base(), free_base()
    file = tmp_path / "holdfast.yaml"
    file.write_text(FILE.format(front=port, admin=port + 1, backend=backend))
    with (
        holdfast(tmp_path, "run", "demo-backend", "--id", "x", "--port", str(backend)) as upstream,
        holdfast(tmp_path, "up", "-c", str(file)) as process,
    ):
        addresses = wait_for(process.stderr, action="service_up", service="balancer")["addresses"]
        assert addresses["front door"] == f"http://127.0.0.1:{port}"
        assert "Hello from backend x" in fetch(addresses["front door"])
        process.send_signal(signal.SIGHUP)
        wait_for(process.stderr, action="reload")
        assert "Hello from backend x" in fetch(addresses["front door"])
        process.send_signal(number)
        assert process.wait(DEADLINE_S) == 0
        upstream.terminate()
        assert upstream.wait(DEADLINE_S) == 0


FLAPPING = """\
balancer:
  listen: ["127.0.0.1:{front}"]
  admin: null
  pools:
    web:
      backends:
        - {{id: a, url: "http://127.0.0.1:{a}"}}
        - {{id: b, url: "http://127.0.0.1:{b}"}}
        - {{id: c, url: "http://127.0.0.1:{c}"}}
      health: {{enabled: false}}
      breaker: {{open_min: 500ms, open_max: 1s, ramp: 500ms}}
  access_log: {{enabled: false}}
"""


def test_a_backend_that_fails_traffic_leaves_and_returns_and_no_client_notices(tmp_path: Path) -> None:
    front, b = free_base(), free_base()
    a, c = front + 1, b + 1
    file = tmp_path / "holdfast.yaml"
    file.write_text(FLAPPING.format(front=front, a=a, b=b, c=c))
    answers: list[str] = []
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            answers.append(fetch(f"http://127.0.0.1:{front}/"))

    with contextlib.ExitStack() as stack:
        for name, port in (("a", a), ("b", b)):
            stack.enter_context(holdfast(tmp_path, "run", "demo-backend", "--id", name, "--port", str(port)))
        rhythm = ("--cycle", "4", "--bad", "2")
        stack.enter_context(holdfast(tmp_path, "run", "demo-backend", "--id", "c", "--port", str(c), *rhythm))
        process = stack.enter_context(holdfast(tmp_path, "up", "-c", str(file)))
        wait_for(process.stderr, action="service_up", service="balancer")
        with ThreadPoolExecutor(4) as clients:
            sending = [clients.submit(client) for _ in range(4)]
            try:
                wait_for(process.stderr, action="transition", backend="c", to="open")
                wait_for(process.stderr, action="transition", backend="c", to="ramping")
                wait_for(process.stderr, action="transition", backend="c", to="up")
            finally:
                stop.set()
            for done in sending:
                done.result()  # raises what a client met
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    assert all(answer.startswith("Hello from backend") for answer in answers)


def test_a_wrong_file_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.yaml"
    port = free_base()
    file.write_text(f"balancer: {{listen: ['127.0.0.1:{port}'], admin: '127.0.0.1:{port + 1}', pools: {{}}}}\n")
    with holdfast(tmp_path, "up", "-c", str(file)) as process:
        _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert errors.decode() == f"{file}:1: balancer.pools: no pool; add a pool with a list of backends\n"
