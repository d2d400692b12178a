"""What a sandbox sees of the machine: a read-only root of what language runtimes need, and nothing else.

No ``/home``, ``/root``, ``/var``, ``/run``, ``/sys``; of ``/etc`` only what runtimes read to find themselves.
``/dev`` has five devices and no terminal. ``/proc`` and the writable places are mounted by init, anew for each job.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
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
_ETC: Final = (
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "perl",
    "protocols",
    "services",
    "ssl/openssl.cnf",
    "ssl/certs",
    "java*",
    "mono",
    "gcrypt",
)
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8


def bubblewrap(
    program: str, *, uid: int, gid: int, launcher: int, passwd: int, group: int, readable: Iterable[str] = ()
) -> list[str]:
    """Arguments up to the command. ``launcher``, ``passwd``, ``group`` are descriptors of files' contents."""
    words = [program, "--unshare-all", "--unshare-user", "--hostname", "sandbox", "--uid", str(uid), "--gid", str(gid)]
    words += ["--die-with-parent", "--new-session", "--clearenv", "--setenv", "LANG", "C.UTF-8", "--cap-drop", "ALL"]
    for capability in CAPABILITIES:
        words += ["--cap-add", capability]
    words += ["--ro-bind", "/usr", "/usr"]
    words += _top_level()
    for path in _etc():
        words += ["--ro-bind", path, path]
    for path in readable:
        words += ["--ro-bind", path, path]
    words += ["--ro-bind-data", str(passwd), "/etc/passwd", "--ro-bind-data", str(group), "/etc/group"]
    words += ["--ro-bind-data", str(launcher), INSIDE]
    words += ["--proc", "/proc", "--tmpfs", "/dev"]
    for device in _DEVICES:
        words += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    for name, number in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        words += ["--symlink", f"/proc/self/fd{number}", f"/dev/{name}"]
    words += ["--dir", "/dev/shm", "--dir", "/work", "--dir", "/tmp"]  # noqa: S108 - of the sandbox
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]


def passwd(uid: int, gid: int) -> tuple[bytes, bytes]:
    """Contents of ``/etc/passwd`` and ``/etc/group``: some runtimes want their user to have a name."""
    user = f"root:x:0:0:root:/:/bin/false\nsandbox:x:{uid}:{gid}:sandbox:/work:/bin/sh\n"
    return user.encode(), f"root:x:0:\nsandbox:x:{gid}:\n".encode()


def mounts(*, size_bytes: int, files: int) -> list[tuple[bytes, bytes, int, bytes]]:
    """What init mounts for each job: kind, target, flags, options.

    ``subset=pid`` leaves processes in ``/proc`` and nothing else (no ``sys``, ``kcore``, ``keys``, ``timer_list``,
    ...), ``hidepid`` leaves the job's own ones (proc(5), since Linux 5.8).
    """
    bounds = f"size={size_bytes},nr_inodes={files}".encode()
    writable = _MS_NOSUID | _MS_NODEV
    return [
        (b"tmpfs", b"/work", writable, bounds + b",mode=0700"),
        (b"tmpfs", b"/tmp", writable, bounds + b",mode=1777"),
        (b"tmpfs", b"/dev/shm", writable, bounds + b",mode=1777"),
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
    for pattern in _ETC:
        yield from sorted(str(path) for path in Path("/etc").glob(pattern))
