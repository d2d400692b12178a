"""The system calls that a program may not make, compiled to BPF by libseccomp.

A list of what is denied, not of what is allowed: a dozen language runtimes use most of the interface,
and what they need changes with each release. Namespaces, cgroups, an own user id and no capabilities
hold without this filter; it takes away the parts of the kernel in which most holes of the last years
were (io_uring, bpf, user namespaces, netlink, keys, perf), and those that no program here has a use for.

Denied calls fail with EPERM so that programs can go on. Three exceptions: ``clone3`` is ENOSYS (its flags
are in memory that a filter cannot see, and C libraries fall back to ``clone``), a socket family is
EAFNOSUPPORT, and a call of another architecture (32 bit, x32), which would bypass the numbers here, kills.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from holdfast.execution.shell.sandbox.errors import SandboxUnavailable

_LIBRARY: Final = "libseccomp.so.2"
_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000
_ATTRIBUTE_BAD_ARCHITECTURE: Final = 2
_ATTRIBUTE_OPTIMIZE: Final = 8
_BINARY_TREE: Final = 2
"""A dozen comparisons instead of a hundred for each system call."""
_UNKNOWN: Final = -1

_LT, _EQ, _GT, _MASKED_EQ = 2, 4, 6, 7
_INT: Final = 0xFFFFFFFF
"""The kernel looks at the lower half of an ``int`` argument only, so a filter must, too (CVE-2019-10063)."""

# fmt: off
DENIED: Final = (
    "io_uring_setup", "io_uring_enter", "io_uring_register",
    "add_key", "request_key", "keyctl",
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
    "bpf", "userfaultfd", "perf_event_open", "fanotify_init", "fanotify_mark", "lookup_dcookie",
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr", "fsopen",
    "fsconfig", "fsmount", "fspick",
    "mount_setattr", "statmount", "listmount", "name_to_handle_at", "open_by_handle_at",
    "unshare", "setns",
    "init_module", "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms",
    "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "nfsservctl",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname", "setdomainname",
    "iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "syslog", "vhangup", "uselib", "ustat", "sysfs", "_sysctl",
    "migrate_pages", "move_pages", "memfd_secret",
    "io_setup",  # takes of a number that the whole machine shares (fs.aio-max-nr)
    "inotify_init", "inotify_init1",  # the files of the root are the machine's: shows what everybody else opens
    "sync", "syncfs",  # writes back what others have changed; all that a job can write is in memory
)
# fmt: on
"""Denied whatever their arguments."""

# Calls that libseccomp 2.5 has no name for. From number 424 on all architectures count alike.
_NUMBERS: Final = {
    "memfd_secret": 447,
    "quotactl_fd": 443,
    "process_madvise": 440,
    "mount_setattr": 442,
    "statmount": 457,
    "listmount": 458,
    "open_tree_attr": 467,
}
_NAMESPACES: Final = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (sched.h)."""
_FAMILIES: Final = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6. Not packet, netlink, vsock, alg, tipc, ... which carry most of the holes."""
_TERMINAL_REQUESTS: Final = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: put words into the mouth of whoever shares the terminal."""

_F_NOTIFY: Final = 1026


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


Comparison: TypeAlias = tuple[int, int, int, int]
"""Argument, operator, first and second datum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Fail ``call`` with ``error`` if the comparison holds, always without one."""

    call: str
    error: int = errno.EPERM
    when: Comparison | None = None


def rules() -> Iterator[Rule]:
    """Everything that is denied."""
    for call in DENIED:
        yield Rule(call=call)
    yield Rule(call="clone3", error=errno.ENOSYS)
    for flag in _NAMESPACES:
        yield Rule(call="clone", when=(0, _MASKED_EQ, flag, flag))
    yield Rule(call="personality", when=(0, _LT, _INT, 0))  # asking (all ones) is allowed, changing is not
    yield Rule(call="personality", when=(0, _GT, _INT, 0))
    yield Rule(call="prlimit64", when=(0, _GT, 0, 0))  # its own limits only: init has the same user
    yield Rule(call="fcntl", when=(1, _MASKED_EQ, _INT, _F_NOTIFY))  # as inotify
    for request in _TERMINAL_REQUESTS:
        yield Rule(call="ioctl", when=(1, _MASKED_EQ, _INT, request))
    for call, allowed in (("socket", _FAMILIES), ("socketpair", _FAMILIES[:1])):
        for family in range(max(allowed)):
            if family not in allowed:
                yield Rule(call=call, error=errno.EAFNOSUPPORT, when=(0, _EQ, family, 0))
        yield Rule(call=call, error=errno.EAFNOSUPPORT, when=(0, _GT, max(allowed), 0))


def compile_filter() -> bytes:
    """The filter as ``struct sock_filter[]``, for the architecture that this process runs on.

    Raises :class:`~.errors.SandboxUnavailable` without libseccomp.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise SandboxUnavailable(
            f"cannot be loaded ({error})", where=_LIBRARY, remedy="install it: apt-get install libseccomp2"
        ) from error
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    try:
        _set(library, context, _ATTRIBUTE_BAD_ARCHITECTURE, _KILL_PROCESS)
        _set(library, context, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE)
        for rule in rules():
            _add(library, context, rule)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def _set(library: ctypes.CDLL, context: ctypes.c_void_p, attribute: int, value: int) -> None:
    _checked(library.seccomp_attr_set(context, attribute, ctypes.c_uint32(value)), f"attribute {attribute}")


def _add(library: ctypes.CDLL, context: ctypes.c_void_p, rule: Rule) -> None:
    number = library.seccomp_syscall_resolve_name(rule.call.encode())
    if number == _UNKNOWN:
        number = _NUMBERS.get(rule.call, _UNKNOWN)
    if number < 0:  # unknown, or not a call of this architecture: then the kernel has none of that name either
        return
    comparisons = (_Comparison * 1)(_Comparison(*rule.when)) if rule.when else None
    action = ctypes.c_uint32(_ERRNO | rule.error)
    code = library.seccomp_rule_add_array(context, action, number, 1 if rule.when else 0, comparisons)
    _checked(code, rule.call)


def _export(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    descriptor = os.memfd_create("filter", os.MFD_CLOEXEC)
    try:
        _checked(library.seccomp_export_bpf(context, descriptor), "export")
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)


def _checked(code: int, what: str) -> None:
    if code < 0:
        raise SandboxUnavailable(
            f"refused {what}: {os.strerror(-code)}", where=_LIBRARY, remedy="update libseccomp to 2.5 or later"
        )
