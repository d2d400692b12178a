"""The system call filter, run by a small interpreter of classic BPF."""

from __future__ import annotations

import errno
import platform
import struct

import pytest

from holdfast.execution.shell.sandbox import seccomp
from holdfast.execution.shell.sandbox.errors import SandboxUnavailable

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers below are those of x86-64")

ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
X86_64, I386 = 0xC000003E, 0x40000003


@pytest.fixture(scope="module")
def program() -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("HBBI", seccomp.compile_filter()))


def judge(program: list[tuple[int, int, int, int]], number: int, *arguments: int, architecture: int = X86_64) -> int:
    """What the kernel would do (linux/bpf_common.h): load, compare, and, jump, return."""
    values = [argument & 0xFFFFFFFFFFFFFFFF for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *values)
    accumulator = at = 0
    while True:
        code, true, false, k = program[at]
        at += 1
        if code == 0x20:  # ld [k]
            accumulator = struct.unpack_from("I", data, k)[0]
        elif code == 0x54:  # and #k
            accumulator &= k
        elif code == 0x05:  # ja
            at += k
        elif code in (0x15, 0x25, 0x35, 0x45):  # jeq, jgt, jge, jset
            holds = {
                0x15: accumulator == k,
                0x25: accumulator > k,
                0x35: accumulator >= k,
                0x45: bool(accumulator & k),
            }
            at += true if holds[code] else false
        elif code == 0x06:  # ret
            return k
        else:
            pytest.fail(f"unknown instruction {code:#x}")


@pytest.mark.parametrize("number", [0, 1, 9, 59, 57, 202, 231, 317, 334])
def test_ordinary_calls_pass(program: list[tuple[int, int, int, int]], number: int) -> None:
    assert judge(program, number) == ALLOW


@pytest.mark.parametrize(
    "number", [101, 165, 272, 308, 321, 323, 425, 426, 427, 248, 250, 298, 304, 442, 447, 457, 467]
)
def test_dangerous_calls_fail(program: list[tuple[int, int, int, int]], number: int) -> None:
    assert judge(program, number) == ERRNO | errno.EPERM


@pytest.mark.parametrize(
    ("flags", "passes"),
    [
        (17, True),
        (0x003D0F00, True),
        (0x10000000 | 17, False),
        (0x40000000, False),
        (0x7E020000, False),
        (1 << 32, True),
    ],
)
def test_clone_makes_processes_and_threads_and_no_namespaces(
    program: list[tuple[int, int, int, int]], flags: int, passes: bool
) -> None:
    assert judge(program, 56, flags) == (ALLOW if passes else ERRNO | errno.EPERM)


@pytest.mark.parametrize("number", [206, 253, 294, 162, 306])
def test_what_the_whole_machine_shares_can_neither_be_used_up_nor_watched(
    program: list[tuple[int, int, int, int]], number: int
) -> None:
    assert judge(program, number) == ERRNO | errno.EPERM


def test_files_can_be_locked_and_not_watched(program: list[tuple[int, int, int, int]]) -> None:
    f_setlk, f_notify = 6, 1026
    assert judge(program, 72, 3, f_setlk) == ALLOW
    assert judge(program, 72, 3, f_notify) == ERRNO | errno.EPERM
    assert judge(program, 72, 3, f_notify | 1 << 32) == ERRNO | errno.EPERM


def test_clone3_is_unknown(program: list[tuple[int, int, int, int]]) -> None:
    assert judge(program, 435) == ERRNO | errno.ENOSYS


def test_sockets_are_local_or_of_the_internet_whatever_the_upper_half_says(
    program: list[tuple[int, int, int, int]],
) -> None:
    allowed = {family for family in range(256) if judge(program, 41, family) == ALLOW}
    assert allowed == {1, 2, 10}
    assert judge(program, 41, 16 | 1 << 32) == ERRNO | errno.EAFNOSUPPORT
    assert {family for family in range(256) if judge(program, 53, family) == ALLOW} == {1}


@pytest.mark.parametrize("request_", [0x5412, 0x541C, 0x5412 | 1 << 32])
def test_terminal_injection_fails_whatever_the_upper_half_says(
    program: list[tuple[int, int, int, int]], request_: int
) -> None:
    assert judge(program, 16, 0, request_) == ERRNO | errno.EPERM
    assert judge(program, 16, 0, 0x5401) == ALLOW  # TCGETS: isatty


def test_the_personality_can_be_asked_and_not_changed(program: list[tuple[int, int, int, int]]) -> None:
    assert judge(program, 135, 0xFFFFFFFF) == ALLOW
    for persona in (0, 0x40000, 0x400000, 0xFFFFFFFF | 1 << 32):
        assert judge(program, 135, persona) == ERRNO | errno.EPERM


def test_calls_of_another_architecture_kill(program: list[tuple[int, int, int, int]]) -> None:
    assert judge(program, 20, architecture=I386) == KILL_PROCESS
    assert judge(program, 0x40000000 | 39) == KILL_PROCESS


def test_a_library_that_is_not_there_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "_LIBRARY", "libseccomp.so.0-absent")
    with pytest.raises(SandboxUnavailable, match="apt-get install libseccomp2"):
        seccomp.compile_filter()
