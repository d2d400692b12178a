"""Where a record comes from: the code, the machine, the versions."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

_COMMAND_TIMEOUT_S: Final = 10.0


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the numbers were measured on."""

    cpu: str
    cores: int
    memory_bytes: int
    kernel: str

    @classmethod
    def here(cls) -> Machine:
        """This machine."""
        try:
            text = Path("/proc/cpuinfo").read_text()
        except OSError:
            text = ""
        model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
        return cls(
            cpu=model[1].strip() if model else platform.processor() or platform.machine(),
            cores=len(os.sched_getaffinity(0)),
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            kernel=f"{platform.system()} {platform.release()}",
        )


def project_root() -> Path:
    """The checkout that this package is imported from, else the current directory."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "pyproject.toml").exists() and (parent / "src" / "holdfast").exists():
            return parent
    return Path.cwd()


def commit_of(root: Path) -> tuple[str | None, bool]:
    """The checked-out commit, and whether tracked files differ from it. ``(None, True)`` outside a repository."""
    head = _output(["git", "-C", str(root), "rev-parse", "HEAD"])
    changes = _output(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"])
    return head or None, head is None or changes != ""


def digest_files(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """SHA-256 of each file, by its path relative to ``root``, in order of path."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(set(paths))
    }


def versions_of(distributions: Iterable[str], programs: Iterable[str]) -> dict[str, str]:
    """Versions of Python, of installed distributions, and of programs found on the path."""
    found = {"python": platform.python_version()}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    for name in programs:
        path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin")))
        text = _output([path, "-v"]) if path else None
        if text and (match := re.search(r"\d+\.\d+(?:\.\d+)*", text)):
            found[name] = match[0]
    return found


def _output(argv: list[str]) -> str | None:
    """What a command prints (both streams: nginx and wrk tell their version on the other one)."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if argv[0].endswith("git") and done.returncode != 0:
        return None
    return (done.stdout + done.stderr).strip()
