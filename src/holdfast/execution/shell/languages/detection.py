"""Which languages this machine can run in a sandbox.

A program counts only if a sandbox can start it: its real path lies below what is mounted there, and whoever the
sandbox runs as may read it. A compiler in somebody's home directory is missing, and the reason says where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from holdfast.execution.shell.languages.profile import load_profiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from holdfast.execution.shell.languages.profile import Profile, ProgramProfile, Toolchain

SANDBOX_ROOTS: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""What a sandbox sees of this machine's files, besides a few of ``/etc``."""
SANDBOX_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
VERSION_DEADLINE_S: Final = 20.0
"""Longest a program may take to print its version; a JVM on a loaded machine needs seconds."""
VERSION_BYTES: Final = 16 * 1024
"""Most of its output that is looked at."""
_AT_A_TIME: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A toolchain of this machine, ready to be planned with."""

    profile: Profile
    toolchain: Toolchain
    programs: Mapping[str, str]
    """Name -> real path."""
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A language, and whether this machine can run it."""

    name: str
    title: str
    version: str | None
    available: bool
    missing_reason: str | None
    package: str
    """Debian packages to install when it is missing, separated by spaces."""
    installed: Installed | None = None

    @property
    def remedy(self) -> str | None:
        """What to do when it is missing."""
        return None if self.available else f"sudo apt-get install {self.package}"


async def detect(profiles: Mapping[str, Profile] | None = None) -> list[Runtime]:
    """Look for every language, sorted by name. Starts programs to learn their versions; takes a second or two.

    Raises :class:`~.errors.ProfileError` when ``profiles`` are not given and those that come along cannot be used.
    """
    wanted = load_profiles() if profiles is None else profiles
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def one(profile: Profile) -> Runtime:
        async with gate:
            return await _runtime(profile)

    return list(await asyncio.gather(*(one(wanted[name]) for name in sorted(wanted))))


def offered(runtimes: Iterable[Runtime]) -> dict[str, Installed]:
    """Those that can be run, by name."""
    return {runtime.name: runtime.installed for runtime in runtimes if runtime.installed is not None}


async def _runtime(profile: Profile) -> Runtime:
    reasons: list[str] = []
    for toolchain in profile.toolchains:
        found = await _installed(profile, toolchain)
        if isinstance(found, Installed):
            return Runtime(
                name=profile.name,
                title=profile.title,
                version=found.version,
                available=True,
                missing_reason=None,
                package=toolchain.package,
                installed=found,
            )
        reasons.append(found)
    return Runtime(
        name=profile.name,
        title=profile.title,
        version=None,
        available=False,
        missing_reason="; ".join(dict.fromkeys(reasons)),
        package=profile.toolchains[0].package,
    )


async def _installed(profile: Profile, toolchain: Toolchain) -> Installed | str:
    """The toolchain with its paths, or why it cannot be used."""
    paths: dict[str, str] = {}
    for name, program in toolchain.programs.items():
        path, reason = locate(program.find)
        if path is None:
            return reason
        paths[name] = path
    language_version = ""
    for name, program in toolchain.programs.items():
        if not program.version:
            continue
        version = await _version((*_launcher(paths, name), *program.version), program)
        if isinstance(version, Unusable):
            return f"{paths[name]} {version.reason}"
        language_version = language_version or version
    return Installed(profile=profile, toolchain=toolchain, programs=paths, version=language_version or "unknown")


def _launcher(paths: Mapping[str, str], name: str) -> tuple[str, ...]:
    """A script of Node's is started with the Node that was found, not with whatever `env node` finds."""
    path = paths[name]
    return (paths["node"], path) if name != "node" and "node" in paths and not os.access(path, os.X_OK) else (path,)


def locate(find: Sequence[str]) -> tuple[str | None, str]:
    """Real path of the first candidate that a sandbox can start; otherwise ``None`` and the reason."""
    reason = ""
    for candidate in find:
        here = candidate if candidate.startswith("/") else shutil.which(candidate, path=SANDBOX_PATH)
        if here is not None and Path(here).exists():
            hidden = hidden_from_sandboxes(here)
            if hidden is None:
                return os.path.realpath(here), ""
            reason = reason or hidden
        elif not candidate.startswith("/") and (elsewhere := shutil.which(candidate)):
            reason = reason or hidden_from_sandboxes(elsewhere) or f"{elsewhere} is not on the path of a sandbox"
    return None, reason or f"{Path(find[0]).name} is not installed"


def hidden_from_sandboxes(path: str) -> str | None:
    """Why a sandbox cannot read a file; ``None`` if it can."""
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(root) for root in SANDBOX_ROOTS):
        return f"{real} lies outside of what sandboxes see ({SANDBOX_ROOTS[0]})"
    for part in (*reversed(real.parents), real):
        try:
            mode = part.stat().st_mode
        except OSError as error:
            return f"{part} cannot be looked at: {error.strerror}"
        needed = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
        if not mode & needed:
            return f"{part} cannot be read by the user of a sandbox (mode {stat.S_IMODE(mode):o})"
    return None


@dataclass(frozen=True, slots=True)
class Unusable:
    """A program that is there and of no use."""

    reason: str


async def _version(argv: Sequence[str], program: ProgramProfile) -> str | Unusable:
    output = await _output(argv)
    if isinstance(output, Unusable):
        return output
    match = re.search(program.pattern, output, re.MULTILINE)
    if match is None or not match[1]:
        first = output.strip().splitlines()[:1] or ["nothing"]
        return Unusable(f"printed no version but {first[0][:120]!r}")
    if program.minimum is not None and _numbers(match[1]) < _numbers(program.minimum):
        return Unusable(f"is version {match[1]}, older than {program.minimum}")
    return match[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,9}", version))


async def _output(argv: Sequence[str]) -> str | Unusable:
    """What a program prints on both streams, at most :data:`VERSION_BYTES`; it is dead when this returns."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": SANDBOX_PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent"},
            cwd="/",
            start_new_session=True,
            limit=VERSION_BYTES,
        )
    except OSError as error:
        return Unusable(f"cannot be started: {error.strerror}")
    reader, data = process.stdout or asyncio.StreamReader(), b""
    try:
        async with asyncio.timeout(VERSION_DEADLINE_S):
            while len(data) < VERSION_BYTES and (piece := await reader.read(VERSION_BYTES - len(data))):
                data += piece
            if len(data) < VERSION_BYTES:
                await process.wait()
    except TimeoutError:
        return Unusable(f"did not print its version within {VERSION_DEADLINE_S:g} s")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - a grandchild may hold the pipe open
    return data.decode("utf-8", "replace")
