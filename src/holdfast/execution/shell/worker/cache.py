"""Compiled programs by content, per tenant, on disk.

An entry is one file, named after its key, in one of 256 directories::

    "HFC1"  SHA-256 of what follows (32 bytes)  MessagePack of [[path, executable, data], ...]

Rules:

- The key is SHA-256 over everything that went into the compiler, the tenant first: no tenant can be served, or
  find out about, what another one compiled.
- It is filled only with what a sandbox brought back of a successful compile.
- A file is written under another name, then renamed: readers in any process see all of it or nothing. It is not
  forced to disk: an entry that a crash has torn fails its hash when it is read, is removed and counts as a miss.
- The total is bounded after every write: entries that were not used for longest go first (a hit renews the time of
  the file). Whoever evicts holds a lock on ``.lock``; several workers may share a directory.
- The directory belongs to us and is closed to everybody else (0700); otherwise the worker does not start, because
  whoever can write here can put words into any tenant's mouth.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import platform
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.execution.core.task import SandboxFile
from holdfast.execution.shell.worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.execution.core.task import Task

MAGIC: Final = b"HFC1"
HEAD_BYTES: Final = len(MAGIC) + 32
KEEP_FRACTION: Final = 0.9
"""Eviction goes down to this part of the bound, so that not every write evicts."""
MAX_ENTRIES: Final = 20_000
"""Small programs are bounded by number: every write looks at all entries, 3 us each."""
MAX_ENTRY_BYTES: Final = 256 * 2**20
"""Largest file that is read at all."""

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[tuple[str, bool, bytes]])


class Cache:
    """A directory of compiled programs, at most ``size`` bytes of them."""

    def __init__(self, directory: str | Path, size: int, *, max_entries: int = MAX_ENTRIES) -> None:
        """Make the directory if there is none. Raises :class:`WorkerError` if it cannot be trusted."""
        self._directory = Path(directory).absolute()
        self._size = size
        self._max_entries = max_entries
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._directory.lstat()
        except OSError as error:
            raise WorkerError(
                f"{self._directory}: the cache of compiled programs cannot be used: {error.strerror}; "
                "give another directory in execution.worker.cache"
            ) from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise WorkerError(
                f"{self._directory}: the cache of compiled programs must be a directory of the worker's own user with "
                "mode 0700; correct it, or give another one in execution.worker.cache"
            )

    def key(self, tenant: str, language: str, version: str, task: Task) -> str:
        """Names what the compile step of ``task`` makes with that version of the compiler."""
        step = task.compile
        parts = [
            tenant,
            language,
            version,
            platform.machine(),
            None if step is None else [step.argv, sorted(step.env.items())],
            task.keep,
            sorted((file.path, file.executable, file.data) for file in task.files),
        ]
        return hashlib.sha256(_encoder.encode(parts)).hexdigest()  # MessagePack says where each part ends

    async def get(self, key: str) -> tuple[SandboxFile, ...] | None:
        """The compiled form, or ``None``. An entry that is damaged is removed."""
        return await asyncio.to_thread(self.read, key)

    async def put(self, key: str, files: Sequence[SandboxFile]) -> bool:
        """Keep a compiled form; whether it was kept. A full disk costs a compilation, never a job."""
        return await asyncio.to_thread(self.write, key, files)

    def read(self, key: str) -> tuple[SandboxFile, ...] | None:
        """As :meth:`get`; blocks."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_ENTRY_BYTES)
        except OSError:
            return None
        body = memoryview(data)[HEAD_BYTES:]
        try:
            if data[: len(MAGIC)] != MAGIC or hashlib.sha256(body).digest() != data[len(MAGIC) : HEAD_BYTES]:
                raise ValueError("damaged")
            files = tuple(SandboxFile(path=p, executable=x, data=d) for p, x, d in _decoder.decode(body))
        except ValueError:  # msgspec's errors included
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):  # somebody evicted it meanwhile; what was read is good
            os.utime(path)
        return files

    def write(self, key: str, files: Sequence[SandboxFile]) -> bool:
        """As :meth:`put`; blocks."""
        try:
            body = _encoder.encode([(file.path, file.executable, file.data) for file in files])
        except UnicodeEncodeError:  # a name that is not UTF-8
            return False
        if HEAD_BYTES + len(body) > min(self._size, MAX_ENTRY_BYTES):
            return False
        path = self._path(key)
        partial = self._directory / f".{key[:16]}.{secrets.token_hex(8)}"
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with partial.open("xb") as file:
                file.write(MAGIC)
                file.write(hashlib.sha256(body).digest())
                file.write(body)
            partial.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()
            return False
        self._evict()
        return True

    def _path(self, key: str) -> Path:
        return self._directory / key[:2] / key[2:]

    def _evict(self) -> None:
        lock = os.open(self._directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = self._entries()
            total = sum(size for _, size, _ in entries)
            if total <= self._size and len(entries) <= self._max_entries:
                return
            room, number = self._size * KEEP_FRACTION, self._max_entries * KEEP_FRACTION
            entries.sort(key=lambda entry: entry[0])
            left = len(entries)
            for _, size, path in entries:
                if total <= room and left <= number:
                    break
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108 - the path is a string from scandir, thousands of them
                total -= size
                left -= 1
        except OSError:
            return  # the next write tries again
        finally:
            os.close(lock)

    def _entries(self) -> list[tuple[int, int, str]]:
        """Time of last use in nanoseconds, size in bytes, path, of every entry; what a crash left unfinished too."""
        found: list[tuple[int, int, str]] = []
        with os.scandir(self._directory) as top:
            shelves = list(top)
        for shelf in shelves:
            if shelf.is_dir(follow_symlinks=False):
                with os.scandir(shelf.path) as entries:
                    names = list(entries)
            else:
                names = [shelf] if shelf.name.startswith(".") and shelf.name != ".lock" else []
            for entry in names:
                with contextlib.suppress(FileNotFoundError):
                    about = entry.stat(follow_symlinks=False)
                    found.append((about.st_mtime_ns, about.st_size, entry.path))
        return found
