"""What a sandbox sees of the machine: a read-only root of what language runtimes need, and nothing else.

No ``/home``, ``/root``, ``/var``, ``/run``, ``/sys``; of ``/etc`` only what runtimes read to find themselves.
``/dev`` has five devices and no terminal, and its ``shm`` is ``/tmp``. ``/proc``, ``/tmp`` and ``/job`` are mounted
by init, anew for each job.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from holdfast.execution.shell.sandbox.errors import SandboxUnavailable

LAUNCHER: Final = Path(__file__).with_name("launcher.py")
INSIDE: Final = "/holdfast/launcher.py"
CAPABILITIES: Final = ("CAP_SYS_ADMIN", "CAP_SETPCAP", "CAP_NET_ADMIN")
"""What the launcher needs, in its own user namespace: to mount and make namespaces, to give up capability sets, and
(once, then given up) to switch off the loopback that bubblewrap switches on."""
_USR_LINKS: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/job",
    "TMPDIR": "/tmp",  # noqa: S108 - of the sandbox
    "LANG": "C.UTF-8",
}
_ETC_FILES: Final = ("ld.so.cache", "ssl/openssl.cnf")
_ETC_DIRECTORIES: Final = ("alternatives", "java*", "dotnet", "mono")
"""What runtimes read to find themselves. Every mount is copied for each job, so there are no more than needed."""
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8


def bubblewrap(
    program: str,
    *,
    uid: int,
    gid: int,
    environment: Mapping[str, str],
    files: Mapping[str, int],
    readable: Iterable[str] = (),
) -> list[str]:
    """Arguments up to the command. ``files`` has descriptors of the contents of files to be made."""
    words = [program, "--unshare-all", "--unshare-user", "--hostname", "sandbox", "--uid", str(uid), "--gid", str(gid)]
    words += ["--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    for name, value in environment.items():
        words += ["--setenv", name, value]
    for capability in CAPABILITIES:
        words += ["--cap-add", capability]
    words += ["--ro-bind", "/usr", "/usr", *_top_level()]
    for path in (*_etc(), *readable):
        words += ["--ro-bind", path, path]
    for path, descriptor in files.items():
        words += ["--perms", "0444", "--file", str(descriptor), path]
    words += ["--proc", "/proc", "--tmpfs", "/dev"]
    for device in _DEVICES:
        words += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for name, number in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        words += ["--symlink", f"/proc/self/fd{number}", f"/dev/{name}"]
    words += ["--symlink", "/tmp", "/dev/shm", "--dir", "/job", "--dir", "/tmp"]  # noqa: S108 - of the sandbox
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]


def contents(uid: int, gid: int) -> dict[str, bytes]:
    """Files that are made for each slot. Some runtimes want their user to have a name."""
    found = {f"/etc/{name}": Path("/etc", name) for name in _ETC_FILES}
    return {
        **{path: source.read_bytes() for path, source in found.items() if source.is_file()},
        "/etc/passwd": f"root:x:0:0:root:/:/bin/false\nsandbox:x:{uid}:{gid}:sandbox:/job:/bin/sh\n".encode(),
        "/etc/group": f"root:x:0:\nsandbox:x:{gid}:\n".encode(),
        INSIDE: LAUNCHER.read_bytes(),
    }


def mounts(*, size_bytes: int, files: int) -> list[tuple[bytes, bytes, int, bytes]]:
    """What init mounts for each job: kind, target, flags, options.

    ``subset=pid`` leaves processes in ``/proc`` and nothing else (no ``sys``, ``kcore``, ``keys``, ``timer_list``,
    ...), ``hidepid`` leaves the job's own ones (proc(5), since Linux 5.8).
    """
    bounds = f"size={size_bytes},nr_inodes={files}".encode()
    writable = _MS_NOSUID | _MS_NODEV
    return [
        (b"tmpfs", b"/job", writable, bounds + b",mode=0700"),
        (b"tmpfs", b"/tmp", writable, bounds + b",mode=1777"),
        (b"proc", b"/proc", writable | _MS_NOEXEC, b"subset=pid,hidepid=invisible"),
    ]


def interpreter() -> str:
    """A Python that a sandbox can see: not one in somebody's home directory."""
    for path in ("/usr/bin/python3", "/usr/local/bin/python3"):
        if os.access(path, os.X_OK):
            return path
    raise SandboxUnavailable(
        "no Python below /usr, where sandboxes can see it", where="python3", remedy="apt-get install python3"
    )


def _top_level() -> Iterator[str]:
    for name in _USR_LINKS:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))


def _etc() -> Iterator[str]:
    for pattern in _ETC_DIRECTORIES:
        yield from sorted(str(path) for path in Path("/etc").glob(pattern))
