"""Programs that want out: files, system calls, network."""

from __future__ import annotations

import asyncio
import socket

import pytest

from holdfast.execution.core.task import Ended, SandboxFile, Step, Task, TaskOutcome
from tests.integration.execution.sandbox.harness import LIMITS, SECRET, Host, python, shell
from tests.machine import require_tool

_CALL = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "allowed"
"""


def test_files_of_the_host_are_not_there(host: Host) -> None:
    paths = "/etc/shadow /etc/hostname /etc/ssh /root /home /var /run /sys /boot /proc/kcore /proc/sys /proc/keys"
    assert host.says(shell(f"ls -d {paths} 2>/dev/null || :")) == ""


def test_no_path_leads_to_a_file_of_the_host(host: Host) -> None:
    path = next(iter(host.files))
    script = (
        f"for base in '' /proc/1/root /proc/self/root /proc/self/cwd/../.. /newroot /oldroot; do cat $base{path}; done"
    )
    outcome = host.run(shell(script))
    assert outcome.stdout == b""
    assert SECRET.encode() not in outcome.stderr


def test_what_there_is_of_the_machine_cannot_be_changed(host: Host) -> None:
    code = """
import os
places = ["/", "/dev", "/etc", "/etc/ssl", "/holdfast", "/proc", "/usr", "/usr/bin", "/usr/lib", "/usr/local"]
for place in [*places, "/job", "/tmp", "/dev/shm"]:
    try:
        open(os.path.join(place, "mark"), "w").close()
        print(place)
    except OSError:
        pass
own = "/proc/self/oom_score_adj"
for path in ("/usr/bin/python3", "/etc/passwd", "/holdfast/launcher.py", "/proc/1/oom_score_adj", own):
    try:
        open(path, "r+").close()
        print(path)
    except OSError:
        pass
"""
    assert host.says(python(code)).split() == ["/job", "/tmp", "/dev/shm", "/proc/self/oom_score_adj"]


def test_files_of_another_job_are_out_of_reach(host: Host) -> None:
    places = "for place in /job /tmp /dev/shm; do"
    waits = f"{places} printf secret > $place/mine; done; sleep 0.5"
    looks = f"{places} cat $place/mine; done; find / -name mine 2>/dev/null; exit 0"
    first, second = _together(host, shell(waits), shell(looks))
    assert first.run is not None
    assert first.run.exit_code == 0
    assert second.run is not None
    assert second.run.stdout == b""


def test_abstract_sockets_of_another_job_are_out_of_reach(host: Host) -> None:
    serves = "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('\\0meet'); s.listen(); time.sleep(0.6)"
    calls = """
import socket, time
for _ in range(8):
    try: socket.socket(socket.AF_UNIX).connect("\\0meet"); print("met")
    except ConnectionRefusedError: time.sleep(0.05)
"""
    _, second = _together(host, python(serves), python(calls))
    assert second.run is not None
    assert second.run.stdout == b""
    assert second.run.exit_code == 0


def test_the_network_is_not_there_and_neither_is_loopback(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"""
import socket
for family, address in ((2, "127.0.0.1"), (2, "169.254.169.254"), (2, "10.0.0.1"), (2, "1.1.1.1"), (10, "::1")):
    with socket.socket(family) as s:
        s.settimeout(0.2)
        try: s.connect((address, {port})); print("reached", address)
        except OSError as error: print(error.errno, address)
"""
        assert {line.split()[0] for line in host.says(python(code)).splitlines()} <= {
            "101",
            "99",
        }  # unreachable, no address: at once


def test_raw_netlink_and_other_exotic_sockets_cannot_be_made(host: Host) -> None:
    code = """
import socket
raw = [(socket.AF_INET, socket.SOCK_RAW), (socket.AF_INET6, socket.SOCK_RAW)]
for family, kind in [*((family, kind) for family in range(64) for kind in range(1, 7)), *raw]:
    if (family, kind) in raw or family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        try: print("made", family, kind, socket.socket(family, kind))
        except OSError: pass
"""
    assert host.says(python(code)) == ""


_DENIED = {
    "ptrace": (101, 0, 0, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "mount": (165, 0, 0, 0, 0, 0),
    "umount2": (166, 0, 0),
    "open_tree": (428, -100, 0, 0),
    "fsopen": (430, 0, 0),
    "pivot_root": (155, 0, 0),
    "chroot": (161, 0),
    "unshare": (272, 0x10000000),
    "setns": (308, 0, 0),
    "clone in a new user namespace": (56, 0x10000000 | 17, 0, 0, 0, 0),
    "clone in a new network namespace": (56, 0x40000000 | 17, 0, 0, 0, 0),
    "io_uring_setup": (425, 1, 0),
    "keyctl": (250, 0, 0, 0, 0),
    "add_key": (248, 0, 0, 0, 0, 0),
    "bpf": (321, 0, 0, 0),
    "userfaultfd": (323, 0),
    "perf_event_open": (298, 0, 0, 0, 0, 0),
    "open_by_handle_at": (304, 0, 0, 0),
    "kexec_load": (246, 0, 0, 0, 0),
    "init_module": (175, 0, 0, 0),
    "swapon": (167, 0, 0),
    "reboot": (169, 0, 0, 0, 0),
    "clock_settime": (227, 0, 0),
    "acct": (163, 0),
    "personality": (135, 0x0040000),
    "fanotify_init": (300, 0, 0),
    "statmount": (457, 0, 0, 0, 0),
    "pidfd_getfd": (438, 0, 0, 0),
    "io_setup": (206, 1, 0),
    "inotify_init1": (294, 0),
    "syncfs": (306, 0),
    "TIOCSTI": (16, 0, 0x5412, 0),
    "TIOCSTI with a high bit": (16, 0, 0x100005412, 0),
    "TIOCLINUX": (16, 0, 0x541C, 0),
}


def test_dangerous_system_calls_are_denied(host: Host) -> None:
    require_tool("bwrap", "bubblewrap")
    code = _CALL + f"print({{name: call(*numbers) for name, numbers in {_DENIED!r}.items()}})"
    answers = eval(host.says(python(code)))
    assert {name: answer for name, answer in answers.items() if answer != "EPERM"} == {}


def test_nobody_can_watch_what_others_open(host: Host) -> None:
    require_tool("bwrap", "bubblewrap")
    code = """
import fcntl, os
try: fcntl.fcntl(os.open("/usr/bin", os.O_RDONLY), fcntl.F_NOTIFY, fcntl.DN_ACCESS)
except OSError as error: print(error.strerror)
"""
    assert host.says(python(code)) == "Operation not permitted"


def test_clone3_is_unknown_so_that_libraries_fall_back(host: Host) -> None:
    assert host.says(python(_CALL + "print(call(435, 0, 0))")) == "ENOSYS"


@pytest.mark.parametrize("call", ["int $0x80 with 20 (getpid)", "x32 getpid"])
def test_calls_of_another_architecture_kill(host: Host, call: str) -> None:
    if call.startswith("x32"):
        task = python(_CALL + "call(0x40000000 + 39)")
    else:
        # mov eax, 20; int 0x80; ret
        code = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
        task = python(code)
    outcome = host.run(task)
    assert (outcome.ended, outcome.signal) == (Ended.SIGNALED, 31), outcome  # SIGSYS


def test_a_program_cannot_be_more_than_it_is(host: Host) -> None:
    code = """
import os, ctypes
tries = {
    "setuid": lambda: os.setuid(0),
    "chown": lambda: os.chown("main.py", 0, 0),
    "mknod": lambda: os.mknod("device", 0o060666, os.makedev(254, 0)),
    "priority": lambda: os.setpriority(0, 0, -5),
    "hostname": lambda: os.sethostname("mine") if hasattr(os, "sethostname") else 1 / 0,
}
for name, attempt in tries.items():
    try: attempt(); print(name)
    except (OSError, ZeroDivisionError): pass
"""
    assert host.says(python(code)) == ""


def test_a_file_of_the_host_cannot_be_included(host: Host) -> None:
    require_tool("g++")
    source = b'#include "/etc/shadow"\nint main() {}\n'
    step = Step(argv=("/usr/bin/g++", "-x", "c++", "main.cpp"), limits=LIMITS)
    outcome = host.task(Task(files=(SandboxFile(path="main.cpp", data=source),), compile=step, run=None))
    assert outcome.compile is not None
    assert outcome.compile.exit_code == 1
    assert b"/etc/shadow: No such file or directory" in outcome.compile.stderr


def _together(host: Host, first: Task, second: Task) -> tuple[TaskOutcome, TaskOutcome]:
    async def both() -> tuple[TaskOutcome, TaskOutcome]:
        one, other = await host.pool.take(), await host.pool.take()
        return await asyncio.gather(one.run(first), other.run(second))

    return host.do(both())
