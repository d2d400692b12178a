"""Programs that do not want to end, and those that want to end others."""

from __future__ import annotations

import os

import pytest

from holdfast.execution.core.task import Ended, Step, Task
from tests.integration.execution.sandbox.harness import LIMITS, SECRET, Host, python, shell


def test_a_child_that_holds_the_pipe_open_ends_with_the_program(host: Host) -> None:
    outcome = host.run(shell("sleep 60 & echo done", wall_s=40.0))
    assert (outcome.ended, outcome.stdout) == (Ended.EXITED, b"done\n")
    assert outcome.wall_s < 30.0


@pytest.mark.parametrize("wall_s", [30.0, 1.0])
def test_daemons_end_with_the_program_whether_it_exits_or_is_ended(host: Host, wall_s: float) -> None:
    code = f"""
import os, signal, time
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.closerange(0, 3)
            time.sleep(60)
        os._exit(0)
    os.wait()
print("started", flush=True)
if {wall_s} < 2:
    time.sleep(60)
"""
    outcome = host.run(python(code, wall_s=wall_s))
    assert outcome.ended is (Ended.WALL if wall_s < 2 else Ended.EXITED)
    assert outcome.stdout == b"started\n"


@pytest.mark.parametrize("whom", ["os.getpid()", "0", "-1"])
def test_a_program_that_stops_itself_or_its_group_is_ended_in_time(host: Host, whom: str) -> None:
    code = f"""
import os, signal
if os.fork() == 0:
    os.kill({whom}, signal.SIGSTOP)
os.kill({whom}, signal.SIGSTOP)
signal.pause()
"""
    outcome = host.run(python(code, wall_s=0.3))
    assert outcome.ended is Ended.WALL
    assert outcome.wall_s < 20.0


def test_a_program_that_ignores_sigterm_is_ended(host: Host) -> None:
    code = """
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: signal.pause()
"""
    assert host.run(python(code, wall_s=0.3)).ended is Ended.WALL


@pytest.mark.parametrize("signal", ["KILL", "TERM", "STOP"])
def test_killing_everybody_reaches_nobody_else(host: Host, signal: str) -> None:
    outcome = host.run(
        shell(f"kill -{signal} -1; kill -{signal} 1; kill -{signal} {host.canary.pid}; echo $?", wall_s=0.5)
    )
    assert outcome.ended is not Ended.FAILED


def test_a_program_sees_its_own_processes_only(host: Host) -> None:
    assert host.says(python("import os; print([name for name in os.listdir('/proc') if name.isdigit()])")) == "['2']"


def test_process_1_cannot_be_looked_into(host: Host) -> None:
    code = """
import os
for what in ("environ", "mem", "maps", "fd", "root", "cwd", "cmdline", "comm"):
    for read in (os.listdir, os.readlink, lambda path: open(path, "rb").read()):
        try: print(read(f"/proc/1/{what}"))
        except OSError: pass
"""
    assert host.says(python(code)) == ""


def test_process_1_cannot_be_made_to_fail(host: Host) -> None:
    code = """
import os, resource, signal
for number in range(1, 65):
    try: os.kill(1, number)
    except OSError: pass
for kind in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_DATA):
    try: resource.prlimit(1, kind, (0, 0))
    except PermissionError: print("refused")
"""
    assert host.says(python(code)).split() == ["refused"] * 3


def test_an_interrupt_ends_a_program_as_usual(host: Host) -> None:
    outcome = host.run(python("import os, signal; os.kill(os.getpid(), signal.SIGINT); print('on')"))
    assert (outcome.ended, outcome.signal, outcome.stdout) == (Ended.SIGNALED, 2, b"")
    assert outcome.stderr.endswith(b"KeyboardInterrupt\n")
    assert host.run(shell("kill -INT $$")).signal == 2


def test_no_secret_of_the_worker_is_in_reach(host: Host) -> None:
    code = """
import gc, os, sys
seen = [repr(os.environ), repr(sys.argv)]
frame = sys._getframe()
while frame:
    seen.append(repr(frame.f_locals))
    frame = frame.f_back
seen += [repr(o) for o in gc.get_objects() if isinstance(o, (str, bytes, dict, list))]
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline"):
        try: seen.append(open(f"/proc/{pid}/{name}").read())
        except OSError: pass
for line in open("/proc/self/maps"):
    span, mode = line.split()[:2]
    if mode.startswith("rw"):
        low, high = (int(end, 16) for end in span.split("-"))
        with open("/proc/self/mem", "rb", 0) as memory:
            memory.seek(low)
            seen.append(memory.read(high - low).decode("latin-1"))
"""
    code += f"""
wanted = "".join(reversed({SECRET[::-1]!r}))  # not a constant of this very program
print(sum(wanted in text for text in seen), len(seen) > 10)
"""
    assert host.says(python(code)) == "0 True"


def test_descriptors_beyond_the_three_streams_are_none(host: Host) -> None:
    started = Step(argv=("/usr/bin/env", "-i", "/bin/ls", "/proc/self/fd"), limits=LIMITS)
    assert host.says(Task(files=(), run=started)).split() == ["0", "1", "2", "3"]  # the last is the listing's own
    code = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:-1])"  # the last is the listing's own
    assert host.says(python(code)) == "[0, 1, 2]"


def test_a_program_cannot_write_its_own_result(host: Host) -> None:
    code = """
import os
for number in range(3, 1024):
    for word in (b"done exit 0 0 0", b"gone 0", b"failed forged"):
        try: os.write(number, word)
        except OSError: pass
print("done exit 0 0 0", flush=True)
os._exit(5)
"""
    outcome = host.run(python(code))
    assert (outcome.ended, outcome.exit_code, outcome.stdout) == (Ended.EXITED, 5, b"done exit 0 0 0\n")


@pytest.mark.parametrize("start", [python, shell])
def test_a_program_has_no_capability_and_no_way_to_one(host: Host, start: object) -> None:
    outcome = host.run(
        python("print(open('/proc/self/status').read())") if start is python else shell("cat /proc/self/status")
    )
    status = dict(line.split(":\t", 1) for line in outcome.stdout.decode().splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    if os.getuid() == 0:  # nobody else can give groups up
        assert status["Groups"].strip() == ""
    assert len(set(status["Uid"].split())) == 1
    assert status["Uid"].split()[0] != "0"
