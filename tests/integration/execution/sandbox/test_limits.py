"""Programs that want more than they may have."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.execution.core.task import Ended, SandboxFile, Step, Task, TaskOutcome
from tests.integration.execution.sandbox.harness import LIMITS, SETTINGS, SLOTS, Host, compiling, limits, python, shell


def test_memory_ends_a_program_that_takes_it_all(host: Host) -> None:
    outcome = host.run(python("held = []\nwhile True: held.append(bytearray(1 << 20))"))
    assert outcome.ended is Ended.MEMORY
    assert LIMITS.memory_bytes * 0.9 < outcome.memory_bytes <= LIMITS.memory_bytes


def test_memory_is_counted_over_all_processes(host: Host) -> None:
    code = """
import os, signal
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(16 << 20)
        signal.pause()
os.wait()
"""
    assert host.run(python(code)).ended is Ended.MEMORY


@pytest.mark.parametrize("place", ["/job", "/tmp", "/dev/shm"])
def test_files_in_memory_end_at_the_size_of_their_file_system(host: Host, place: str) -> None:
    outcome = host.run(shell(f"head -c 1G /dev/zero > {place}/bomb; stat -c %s {place}/bomb"))
    assert int(outcome.stdout) <= SETTINGS.work_size


def test_files_in_memory_count_as_memory(host: Host) -> None:
    script = "for place in /job /tmp; do head -c 12M /dev/zero > $place/bomb; done; echo all"
    outcome = host.run(shell(script, memory_bytes=16 * 2**20))
    assert outcome.ended is Ended.MEMORY
    assert outcome.stdout == b""


def test_memory_given_back_by_one_program_is_there_for_the_next(host: Host) -> None:
    script = "for place in /job /tmp; do head -c 15M /dev/zero > $place/bomb; done; echo full"
    fill = shell(script, memory_bytes=40 * 2**20)
    for _ in range(6):
        assert host.says(fill) == "full"


def test_what_a_program_left_in_the_kernel_is_not_counted_to_the_next(host: Host) -> None:
    # Each name that is not there is remembered by the kernel, and charged to whoever asked for it.
    code = """
import os
new = os.urandom(100).hex()
for number in range(40_000):
    try: os.stat(f"/usr/lib/{new}{number}")
    except OSError: pass
"""
    assert host.run(python(code)).memory_bytes > 8 * 2**20

    async def in_all_slots() -> list[TaskOutcome]:
        sandboxes = [await host.pool.take() for _ in range(SLOTS)]
        return await asyncio.gather(*(sandbox.run(python("pass")) for sandbox in sandboxes))

    runs = [outcome.run for outcome in host.do(in_all_slots())]
    assert [run for run in runs if run is None or run.memory_bytes > 8 * 2**20] == []


def test_a_limit_below_what_is_in_use_is_a_limit_that_was_reached(host: Host) -> None:
    make = Step(argv=("/bin/sh", "make.sh"), limits=limits())
    files = (SandboxFile(path="make.sh", data=b"head -c 15M /dev/zero > big"),)
    for memory_bytes in (4096, 8 * 2**20):
        run = Step(argv=("/bin/echo", "on"), limits=limits(memory_bytes=memory_bytes))
        assert host.run(Task(files=files, compile=make, run=run)).ended is Ended.MEMORY


@pytest.mark.parametrize("place", ["/job", "/tmp", "/dev/shm"])
def test_inodes_run_out_at_their_limit(host: Host, place: str) -> None:
    code = f"""
import itertools
try:
    for n in itertools.count():
        open(f"{place}/{{n}}", "w").close()
except OSError as error:
    print(n, error.strerror)
"""
    made, _, why = host.says(python(code)).partition(" ")
    assert int(made) < SETTINGS.work_files
    assert why == "No space left on device"


def test_ten_thousand_files_are_refused_and_cost_nothing_afterwards(host: Host) -> None:
    assert host.run(shell("i=0; while [ $i -lt 10000 ]; do : > f$i || exit 9; i=$((i+1)); done")).exit_code != 0


def test_a_deep_directory_is_cleared_away(host: Host) -> None:
    code = """
import os
depth = 0
try:
    while True:
        os.mkdir("d"); os.chdir("d"); depth += 1
except OSError:
    print(depth)
"""
    assert 100 < int(host.says(python(code))) < SETTINGS.work_files


def test_a_flood_on_both_streams_without_newlines_is_cut_at_the_limit(host: Host) -> None:
    script = "(while :; do head -c 65536 /dev/zero; done >&2) & while :; do head -c 65536 /dev/zero; done"
    outcome = host.run(shell(script))
    assert outcome.ended is Ended.OUTPUT
    assert len(outcome.stdout) + len(outcome.stderr) == LIMITS.output_bytes
    assert outcome.stdout_truncated or outcome.stderr_truncated


def test_output_of_exactly_the_limit_is_no_flood(host: Host) -> None:
    outcome = host.run(shell(f"head -c {LIMITS.output_bytes} /dev/zero"))
    assert (outcome.ended, len(outcome.stdout), outcome.stdout_truncated) == (Ended.EXITED, LIMITS.output_bytes, False)


def test_wall_time_ends_a_program_that_sleeps(host: Host) -> None:
    outcome = host.run(shell("echo before; sleep 60", wall_s=1.0))
    assert (outcome.ended, outcome.stdout) == (Ended.WALL, b"before\n")
    assert 1.0 <= outcome.wall_s < 20.0
    assert outcome.cpu_s < 0.5


def test_cpu_time_ends_a_program_that_works(host: Host) -> None:
    outcome = host.run(python("while True: pass", cpu_s=0.2, wall_s=60.0))
    assert outcome.ended is Ended.CPU
    assert 0.2 <= outcome.cpu_s < 1.0


def test_cpu_time_is_counted_over_all_processes(host: Host) -> None:
    script = "for n in 1 2 3 4 5 6; do (while :; do :; done) & done; wait"
    outcome = host.run(shell(script, cpu_s=0.4, wall_s=60.0))
    assert outcome.ended is Ended.CPU
    assert outcome.cpu_s < 1.2
    assert outcome.cpu_s <= outcome.wall_s * 1.2 + 0.1, "a slot has one core"


def test_a_fork_bomb_is_contained(host: Host) -> None:
    code = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
    outcome = host.run(python(code, cpu_s=0.4, wall_s=5.0))
    assert outcome.ended in (Ended.CPU, Ended.WALL)


def test_processes_and_threads_end_at_their_limit(host: Host) -> None:
    code = """
import os, signal, threading
made = 1
try:
    while True:
        if os.fork() == 0:
            signal.pause()
        made += 1
except BlockingIOError:
    print(made)
try:
    threading.Thread(target=print).start()
except RuntimeError:
    print("no thread either")
"""
    assert host.says(python(code)).split("\n") == [str(LIMITS.processes), "no thread either"]


def test_a_file_cannot_grow_beyond_the_work_directory(host: Host) -> None:
    outcome = host.run(python(f"open('big', 'wb').truncate({int(SETTINGS.work_size)} + 1)"))
    assert b"File too large" in outcome.stderr


def test_a_crash_leaves_no_core(host: Host) -> None:
    code = """
import os, resource, signal
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
except ValueError as error:
    print(error)
if os.fork() == 0:
    os.kill(os.getpid(), signal.SIGSEGV)
_, status = os.wait()
print(os.WCOREDUMP(status), os.listdir())
"""
    assert host.says(python(code)).splitlines() == ["not allowed to raise maximum limit", "False ['main.py']"]


def test_arguments_and_environment_beyond_the_system_limit_fail_the_program_only(host: Host) -> None:
    huge = "x" * (200 * 2**10)  # one word may have 128 KiB (MAX_ARG_STRLEN)
    for task in (shell("echo ran", args=(huge,)), shell("echo ran", env={"HUGE": huge})):
        outcome = host.run(task)
        assert (outcome.ended, outcome.exit_code) == (Ended.EXITED, 126)
        assert b"Argument list too long" in outcome.stderr


def test_many_arguments_and_large_files_go_in(host: Host) -> None:
    big = b"x" * (2 * 2**20)
    step = Step(
        argv=("/bin/sh", "-c", "echo $#; stat -c %s big; wc -c", *["word" * 10] * 2000), limits=LIMITS, stdin=big
    )
    assert host.says(Task(files=(SandboxFile(path="big", data=big),), run=step)).split() == [
        "1999",
        "2097152",
        "2097152",
    ]


def test_a_compiler_that_never_ends_is_ended(host: Host) -> None:
    outcome = host.task(compiling("sleep 60", run="echo ran", wall_s=0.3))
    assert outcome.compile is not None
    assert outcome.compile.ended is Ended.WALL
    assert outcome.run is None


def test_a_compiler_that_writes_a_gigabyte_is_ended(host: Host) -> None:
    outcome = host.task(compiling("while :; do head -c 65536 /dev/zero; done >&2", run="echo ran"))
    assert outcome.compile is not None
    assert outcome.compile.ended is Ended.OUTPUT
    assert outcome.run is None


def test_compiler_and_program_have_limits_of_their_own(host: Host) -> None:
    files = (SandboxFile(path="hog.py", data=b"held = bytearray(100 << 20); print('held')"),)
    hog = ("/usr/bin/python3", "-I", "hog.py")
    large, small = limits(memory_bytes=160 * 2**20), limits(memory_bytes=64 * 2**20)
    task = Task(files=files, compile=Step(argv=hog, limits=large), run=Step(argv=hog, limits=small))
    outcome = host.task(task)
    assert outcome.compile is not None
    assert outcome.compile.stdout == b"held\n"
    assert outcome.run is not None
    assert outcome.run.ended is Ended.MEMORY
