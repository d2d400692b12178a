"""The supervisor with real child processes: small scripts that misbehave in one way each."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest

from holdfast.app.child import Service
from holdfast.app.settings import SupervisorSettings
from holdfast.app.supervisor import Addresses, ServiceFailed, Supervisor
from holdfast.kernel import Duration
from holdfast.testing import eventually

DEADLINE_S = 20.0

PRELUDE = """
import os, signal, sys, threading, time
say = lambda text: (sys.stderr.write(text + "\\n"), sys.stderr.flush())
ready = lambda: (os.write(fd := int(os.environ["HOLDFAST_READY_FD"]), b'READY {"door": "http://h:1"}\\n'), os.close(fd))
"""

OBEDIENT = """
signal.signal(signal.SIGTERM, lambda *_: (say("drained"), sys.exit(0)))
signal.signal(signal.SIGHUP, lambda *_: say("reloaded"))
ready()
while True: signal.pause()
"""

STUBBORN = """
signal.signal(signal.SIGTERM, lambda *_: say("ignoring TERM"))
ready()
while True: signal.pause()
"""

PARENT = """
import subprocess
code = "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"
child = subprocess.Popen([sys.executable, "-S", "-c", code])
say(f"child {child.pid} .")
"""


def service(code: str, name: str = "stub", *, drain_s: float = 30.0, **environ: str) -> Service:
    program = (sys.executable, "-S", "-c", PRELUDE + textwrap.dedent(code))
    return Service(name=name, about="stub", argv=program, drain_s=drain_s, environ=environ)


def settings(*, restarts: int = 5, grace: float = 5.0, start_timeout: float = 15.0) -> SupervisorSettings:
    return SupervisorSettings(
        restarts=restarts,
        backoff_min=Duration(0.01),
        backoff_max=Duration(0.02),
        grace=Duration(grace),
        start_timeout=Duration(start_timeout),
    )


class Watch:
    """A sink, and a way to wait for what children say instead of sleeping."""

    def __init__(self) -> None:
        self.said = b""
        self.up = asyncio.Event()
        self.addresses: Addresses = {}
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def sink(self, data: bytes) -> None:
        self._loop.call_soon_threadsafe(self._take, data)

    def on_up(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self.up.set()

    async def wait_said(self, text: str, times: int = 1) -> None:
        while self.said.count(text.encode()) < times:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), DEADLINE_S)

    async def wait_up(self) -> None:
        await asyncio.wait_for(self.up.wait(), DEADLINE_S)

    def _take(self, data: bytes) -> None:
        self.said += data
        self._changed.set()


def supervise(watch: Watch, *services: Service, settings: SupervisorSettings) -> tuple[Supervisor, asyncio.Task[None]]:
    supervisor = Supervisor(services, settings, rng=Random(1), sink=watch.sink, on_up=watch.on_up)
    return supervisor, asyncio.create_task(supervisor.run())


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, DEADLINE_S))


def test_it_is_up_when_every_service_has_said_so() -> None:
    async def scenario() -> None:
        watch = Watch()
        supervisor, running = supervise(watch, service(OBEDIENT, "a"), service(OBEDIENT, "b"), settings=settings())
        await watch.wait_up()
        assert watch.addresses == {"a": {"door": "http://h:1"}, "b": {"door": "http://h:1"}}
        supervisor.stop()
        await running

    run(scenario())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_every_service_and_waits_for_it(number: signal.Signals) -> None:
    async def scenario() -> None:
        watch = Watch()
        _, running = supervise(watch, service(OBEDIENT, "a"), service(OBEDIENT, "b"), settings=settings())
        await watch.wait_up()
        os.kill(os.getpid(), number)
        await running
        await watch.wait_said("drained", times=2)

    run(scenario())


def test_hangup_is_passed_on_and_stops_nothing() -> None:
    async def scenario() -> None:
        watch = Watch()
        supervisor, running = supervise(watch, service(OBEDIENT), settings=settings())
        await watch.wait_up()
        os.kill(os.getpid(), signal.SIGHUP)
        await watch.wait_said("reloaded")
        assert not running.done()
        supervisor.stop()
        await running

    run(scenario())


def test_a_reload_reaches_a_service_that_is_still_starting_when_it_is_ready(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    code = 'say("starting")\nopen(os.environ["GO"]).close()\n' + OBEDIENT

    async def scenario() -> None:
        watch = Watch()
        supervisor, running = supervise(watch, service(code, GO=str(tmp_path / "go")), settings=settings())
        await watch.wait_said("starting")
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)  # the handler runs in the loop
        await asyncio.to_thread((tmp_path / "go").write_text, "")
        await watch.wait_said("reloaded")
        supervisor.stop()
        await running

    run(scenario())


def test_a_service_that_fails_while_it_stops_makes_the_stop_a_failure() -> None:
    async def scenario() -> None:
        watch = Watch()
        supervisor, running = supervise(
            watch, service(OBEDIENT.replace("sys.exit(0)", "sys.exit(1)")), settings=settings()
        )
        await watch.wait_up()
        supervisor.stop()
        with pytest.raises(ServiceFailed, match="did not stop in order: exit status 1; its last lines:\\n    drained"):
            await running

    run(scenario())


def test_a_machine_out_of_processes_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async def refuse(*_: Any, **__: Any) -> None:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        watch = Watch()
        monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
        _, running = supervise(watch, service(OBEDIENT), settings=settings(restarts=3))
        with pytest.raises(ServiceFailed, match="cannot be started: Resource temporarily unavailable, after 3"):
            await running

    run(scenario())


def test_a_service_that_exits_is_started_again(tmp_path: Path) -> None:
    code = """
    say("started")
    ready()
    if os.path.exists(os.environ["FLAG"]): signal.pause()
    open(os.environ["FLAG"], "w").close()
    sys.exit(3)
    """

    async def scenario() -> None:
        watch = Watch()
        stub = service(code, FLAG=str(tmp_path / "started-once"))
        supervisor, running = supervise(watch, stub, settings=settings())
        await watch.wait_said("started", times=2)
        supervisor.stop()
        await running

    run(scenario())


def test_too_many_restarts_end_everything_and_drain_the_others() -> None:
    async def scenario() -> None:
        watch = Watch()
        crashing = service('say("the disk is full"); sys.exit(3)', "crashing")
        _, running = supervise(watch, service(OBEDIENT, "sound"), crashing, settings=settings(restarts=2))
        with pytest.raises(ServiceFailed) as failed:
            await running
        assert failed.value.service == "crashing"
        assert failed.value.exit_code == 1
        assert str(failed.value) == (
            "crashing: exit status 3, after 2 restarts within 1m; its last lines:\n    the disk is full"
        )
        assert watch.said.count(b"the disk is full") == 3

    run(scenario())


def test_a_service_killed_by_a_signal_is_reported_by_its_name() -> None:
    async def scenario() -> None:
        watch = Watch()
        _, running = supervise(watch, service("os.kill(os.getpid(), signal.SIGKILL)"), settings=settings(restarts=0))
        with pytest.raises(ServiceFailed, match="killed by SIGKILL, after 0 restarts"):
            await running

    run(scenario())


def test_a_service_that_refuses_its_input_is_not_started_again() -> None:
    async def scenario() -> None:
        watch = Watch()
        _, running = supervise(watch, service('say("x.yaml:1: no"); sys.exit(2)'), settings=settings())
        with pytest.raises(ServiceFailed, match="refused its input") as failed:
            await running
        assert failed.value.exit_code == 2
        assert watch.said.count(b"x.yaml:1: no") == 1

    run(scenario())


def test_a_service_that_is_never_ready_counts_as_failed() -> None:
    async def scenario() -> None:
        watch = Watch()
        _, running = supervise(watch, service("signal.pause()"), settings=settings(restarts=0, start_timeout=0.3))
        with pytest.raises(ServiceFailed, match="not ready within 300ms"):
            await running

    run(scenario())


def test_a_program_that_cannot_be_started_says_why() -> None:
    async def scenario() -> None:
        watch = Watch()
        missing = Service(name="gone", about="", argv=("/nonexistent/program",))
        _, running = supervise(watch, missing, settings=settings(restarts=0))
        with pytest.raises(ServiceFailed, match="/nonexistent/program: cannot be started: No such file"):
            await running

    run(scenario())


def test_a_service_that_ignores_the_drain_is_killed_after_its_bound_with_all_its_children() -> None:
    async def scenario() -> None:
        watch = Watch()
        stub = service(PARENT + STUBBORN, drain_s=0.1)
        supervisor, running = supervise(watch, stub, settings=settings(grace=0.1))
        await watch.wait_up()
        await watch.wait_said(" .")
        grandchild = os.pidfd_open(int(watch.said.split()[1]))
        supervisor.stop()
        with pytest.raises(ServiceFailed, match=r"did not stop within 0\.2 s"):
            await running
        try:
            assert select.select([grandchild], [], [], DEADLINE_S)[0], "the grandchild survived"
        finally:
            os.close(grandchild)

    run(scenario())


@pytest.mark.parametrize("answer", ["SIG_DFL", "SIG_IGN"])
def test_what_a_crashed_service_left_behind_does_not_outlive_the_supervisor(answer: str) -> None:
    async def scenario() -> None:
        watch = Watch()
        crashing = service(PARENT.replace("SIG_IGN", answer) + "ready()\nos.kill(os.getpid(), 9)", drain_s=0.1)
        _, running = supervise(watch, crashing, settings=settings(restarts=0, grace=0.1))
        await watch.wait_said(" .")
        orphan = os.pidfd_open(int(watch.said.split()[1]))
        with pytest.raises(ServiceFailed, match="killed by SIGKILL"):
            await running
        try:
            assert select.select([orphan], [], [], DEADLINE_S)[0], "the orphan survived"
        finally:
            os.close(orphan)

    run(scenario())


def test_a_second_interrupt_kills_at_once() -> None:
    async def scenario() -> None:
        watch = Watch()
        _, running = supervise(watch, service(STUBBORN, drain_s=3600.0), settings=settings())
        await watch.wait_up()
        os.kill(os.getpid(), signal.SIGINT)
        await watch.wait_said("ignoring TERM")
        assert not running.done()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(ServiceFailed, match="killed before it had drained"):
            await running

    run(scenario())


def test_stopping_does_not_wait_for_a_backoff(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        watch = Watch()
        slow = SupervisorSettings(backoff_min=Duration(3600.0), backoff_max=Duration(3600.0))
        supervisor, running = supervise(watch, service('say("bye"); sys.exit(3)'), settings=slow)
        # Its last words are not its end: told to stop between the two, the supervisor would take part in that exit.
        await eventually(lambda: "starting it again" in caplog.text, "the backoff has begun", within_s=DEADLINE_S)
        supervisor.stop()
        await running

    run(scenario())


def test_a_flood_on_standard_error_is_passed_on_and_remembered_only_at_its_end() -> None:
    async def scenario() -> None:
        watch = Watch()
        code = 'sys.stderr.write("x" * 3_000_000)\nfor n in range(100): say(f"line {n}")\nsys.exit(3)'
        _, running = supervise(watch, service(code), settings=settings(restarts=0))
        with pytest.raises(ServiceFailed) as failed:
            await running
        assert len(watch.said) > 3_000_000
        assert [line.strip() for line in str(failed.value).splitlines()[1:]] == [f"line {n}" for n in range(95, 100)]

    run(scenario())


def test_systemd_is_told_and_children_cannot_tell_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        watch = Watch()
        code = 'say(os.environ.get("NOTIFY_SOCKET", "no socket"))\n' + OBEDIENT
        supervisor, running = supervise(watch, service(code), settings=settings())
        await watch.wait_up()
        await watch.wait_said("no socket")
        supervisor.stop()
        await running

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(DEADLINE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        run(scenario())
        assert systemd.recv(100) == b"READY=1"


def test_no_child_outlives_a_supervisor_that_was_killed() -> None:
    script = textwrap.dedent(
        f"""
        import asyncio, sys
        from random import Random
        from holdfast.app.child import Service
        from holdfast.app.settings import SupervisorSettings
        from holdfast.app.supervisor import Supervisor
        code = {PRELUDE + "ready(); print(os.getpid(), flush=True)" + chr(10) + "while True: signal.pause()"!r}
        stub = Service(name="stub", about="", argv=(sys.executable, "-S", "-c", code))
        asyncio.run(Supervisor([stub], SupervisorSettings(), rng=Random(1)).run())
        """
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environ) as supervisor:
        assert supervisor.stdout is not None
        child = os.pidfd_open(int(supervisor.stdout.readline()))
        try:
            supervisor.kill()
            assert select.select([child], [], [], DEADLINE_S)[0], "the child outlived its supervisor"
        finally:
            os.close(child)
