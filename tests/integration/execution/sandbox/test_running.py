"""What a well-behaved program finds."""

from __future__ import annotations

import pytest

from holdfast.execution.core.task import Ended, SandboxFile, Step, Task
from tests.integration.execution.sandbox.harness import LIMITS, WORK, Host, compiling, python, shell


def test_exit_code_and_both_streams_come_back(host: Host) -> None:
    outcome = host.run(shell("echo out; echo err >&2; exit 3"))
    assert (outcome.ended, outcome.exit_code, outcome.signal) == (Ended.EXITED, 3, None)
    assert (outcome.stdout, outcome.stderr) == (b"out\n", b"err\n")
    assert outcome.cpu_s > 0
    assert outcome.wall_s > 0
    assert 0 < outcome.memory_bytes < LIMITS.memory_bytes


def test_a_signal_that_ends_a_program_is_named(host: Host) -> None:
    outcome = host.run(shell("kill -SEGV $$"))
    assert (outcome.ended, outcome.exit_code, outcome.signal) == (Ended.SIGNALED, None, 11)


def test_stdin_arguments_and_environment_go_in(host: Host) -> None:
    task = shell(
        'cat; echo "$1|$GREETING|$HOME|$PWD"', args=("one two",), env={"GREETING": "hé"}, stdin=b"\x00\xffin\n"
    )
    assert host.run(task).stdout == b"\x00\xffin\none two|h\xc3\xa9|/job|/job\n"


def test_standard_streams_can_be_opened_by_name(host: Host) -> None:
    assert host.says(shell("cat </dev/stdin >/dev/stdout; echo no >/dev/stderr", stdin=b"yes")) == "yes"


def test_invalid_utf_8_passes_unchanged_in_both_directions(host: Host) -> None:
    code = "import sys; print(end=sys.stdin.read(), flush=True); sys.stdout.buffer.write(bytes([0xc3, 0x28]))"
    assert host.run(python(code, stdin=b"\xff\xfe")).stdout == b"\xff\xfe\xc3\x28"


def test_files_are_placed_in_directories(host: Host) -> None:
    files = (
        SandboxFile(path="a/b/tool.sh", data=b"#!/bin/sh\necho tool $(cat a/data)", executable=True),
        SandboxFile(path="a/data", data=b"data"),
    )
    step = Step(argv=("./a/b/tool.sh",), limits=LIMITS)
    assert host.says(Task(files=files, run=step)) == "tool data"


def test_output_is_passed_on_while_the_program_runs(host: Host) -> None:
    pieces: list[tuple[str, bytes]] = []
    outcome = host.run(
        shell("echo one; read x < /dev/stdin; echo two >&2"), lambda stream, data: pieces.append((stream, data))
    )
    assert pieces == [("stdout", b"one\n"), ("stderr", b"two\n")]
    assert outcome.stdout == b"one\n"


def test_a_program_that_does_not_exist_is_told_like_in_a_shell(host: Host) -> None:
    step = Step(argv=("/usr/bin/no-such-program",), limits=LIMITS)
    outcome = host.run(Task(files=(), run=step))
    assert (outcome.ended, outcome.exit_code) == (Ended.EXITED, 127)
    assert b"No such file" in outcome.stderr


def test_compile_and_run_share_the_work_directory_and_nothing_else(host: Host) -> None:
    task = compiling("echo made > made; (sleep 60 &) ; echo compiled", run="cat made; set -- /proc/[0-9]*; echo $#")
    outcome = host.task(task)
    assert outcome.compile is not None
    assert outcome.compile.stdout == b"compiled\n"
    assert outcome.run is not None
    made, processes = outcome.run.stdout.split()
    assert (made, int(processes)) == (b"made", 1)  # the shell: not the sleep of the compiler


def test_nothing_runs_after_a_compiler_that_fails(host: Host) -> None:
    outcome = host.task(compiling("echo broken >&2; exit 1", keep=("made",), run="echo ran"))
    assert outcome.compile is not None
    assert (outcome.compile.exit_code, outcome.compile.stderr) == (1, b"broken\n")
    assert outcome.run is None
    assert outcome.kept == ()


def test_a_sandbox_is_used_once(host: Host) -> None:
    async def twice() -> None:
        sandbox = await host.pool.take()
        await sandbox.run(python("pass"))
        await sandbox.run(python("pass"))

    with pytest.raises(RuntimeError, match="once"):
        host.do(twice())


class TestWarmPython:
    """The forked interpreter is not to be told from ``python3 main.py``."""

    def test_a_traceback_shows_the_frames_of_the_program_only(self, host: Host) -> None:
        outcome = host.run(python("def f():\n    return 1 / 0\nf()\n"))
        assert outcome.exit_code == 1
        assert outcome.stderr.decode().splitlines()[:2] == [
            "Traceback (most recent call last):",
            f'  File "{WORK}/main.py", line 3, in <module>',
        ]
        assert outcome.stderr.endswith(b"ZeroDivisionError: division by zero\n")

    def test_a_syntax_error_is_shown_with_its_line(self, host: Host) -> None:
        outcome = host.run(python("x = (\n"))
        assert outcome.exit_code == 1
        assert outcome.stderr.decode().splitlines()[0] == f'  File "{WORK}/main.py", line 1'
        assert b"SyntaxError" in outcome.stderr

    @pytest.mark.parametrize(
        ("leaving", "code", "said"),
        [("", 0, b""), ("7", 7, b""), ("256 + 3", 3, b""), ("'why'", 1, b"why\n"), ("None", 0, b"")],
    )
    def test_sys_exit_ends_it_as_usual(self, host: Host, leaving: str, code: int, said: bytes) -> None:
        outcome = host.run(python(f"import sys; sys.exit({leaving})"))
        assert (outcome.exit_code, outcome.stderr) == (code, said)

    def test_it_is_main_with_its_arguments_and_siblings(self, host: Host) -> None:
        files = (
            SandboxFile(
                path="main.py", data=b"import sys, sibling\nprint(__name__, __file__, sys.argv, sibling.x, exit.name)"
            ),
            SandboxFile(path="sibling.py", data=b"x = 5"),
        )
        step = Step(argv=(f"{WORK}/main.py", "a"), limits=LIMITS, warm="python")
        assert host.says(Task(files=files, run=step)) == f"__main__ {WORK}/main.py ['{WORK}/main.py', 'a'] 5 exit"

    def test_threads_exit_handlers_and_open_files_are_seen_to_at_the_end(self, host: Host) -> None:
        code = """
import atexit, threading, time
class Last:
    def __del__(self): print("collected", flush=True)
last = Last()
file = open("/dev/stdout", "w")
file.write("flushed\\n")
atexit.register(print, "handler")
threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
"""
        assert set(host.says(python(code)).split()) == {"collected", "flushed", "handler", "thread"}

    def test_two_programs_of_one_launcher_draw_different_random_numbers(self, host: Host) -> None:
        drawn = {host.says(python("import random, uuid; print(random.random(), uuid.uuid4())")) for _ in range(4)}
        assert len(drawn) == 4

    def test_nothing_of_an_earlier_program_is_there(self, host: Host) -> None:
        traces = """
import builtins, os, sys, json
json.mark = builtins.mark = sys.mark = "was here"
os.environ["MARK"] = "was here"
for place in ("/job", "/tmp", "/dev/shm"):
    open(place + "/mark", "w").close()
import ctypes, threading
ctypes.CDLL(None).shmget(4711, 4096, 0o1666)
"""
        looks = """
import builtins, os, sys, json, ctypes
print([hasattr(o, "mark") for o in (json, builtins, sys)], "MARK" in os.environ)
print([os.listdir(place) for place in ("/job", "/tmp", "/dev/shm")])
print(ctypes.CDLL(None).shmget(4711, 4096, 0o666), [pid for pid in os.listdir("/proc") if pid.isdigit()])
"""
        for _ in range(4):  # each slot at least once
            host.says(python(traces))
        for _ in range(4):
            assert host.says(python(looks)).splitlines() == [
                "[False, False, False] False",
                "[['main.py'], [], []]",
                "-1 ['2']",
            ]

    def test_multiprocessing_and_subprocesses_work(self, host: Host) -> None:
        code = """
import multiprocessing, subprocess, sys
with multiprocessing.Pool(2) as pool:
    print(pool.map(abs, [-1, -2]), subprocess.check_output(["/bin/echo", "echo"], text=True).strip())
"""
        assert host.says(python(code)) == "[1, 2] echo"
