"""A month of results as files, with their checksums.

``GET /v1/export`` makes the files and answers with a manifest; each is then fetched from its path there, as it was
when its sum was taken. One export is made at a time, as it reads everything there is of a month; the last few are kept
for an hour, in a directory that goes with the process.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

from holdfast.netpulse.shell.api.problems import ProblemError

KEPT: Final = 4
KEPT_S: Final = 3_600.0

Format: TypeAlias = Literal["csv", "parquet"]


class Exported(Protocol):
    """A file that was written."""

    @property
    def name(self) -> str:
        """In its directory."""
        ...

    @property
    def rows(self) -> int:
        """Without a head."""
        ...

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        ...

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        ...


Export: TypeAlias = Callable[[str, str, Path, Format], Awaitable[Sequence[Exported]]]
"""Writes the files of a month of a tenant into a directory that exists. Raises ``Invalid`` and ``NetpulseError``."""


@dataclass(frozen=True, slots=True)
class Made:
    """An export that is there."""

    tenant: str
    at: float
    directory: Path
    files: Sequence[Exported]


class Exports:
    """What was made; bounded. :meth:`close` it in the end."""

    def __init__(self, export: Export | None, *, monotonic: Callable[[], float]) -> None:
        """Without ``export`` there is none."""
        self._export = export
        self._monotonic = monotonic
        self._root: Path | None = None
        self._made: OrderedDict[str, Made] = OrderedDict()
        self._making = asyncio.Lock()

    async def make(self, tenant: str, month: str, form: Format) -> tuple[str, Made]:
        """Make one; its id. Raises :class:`ProblemError` and what the export raises."""
        if self._export is None:
            raise ProblemError("not-found", "this process has nothing to export from")
        if self._making.locked():
            raise ProblemError("overloaded", "another export is being made; try again", retry_after_s=10.0)
        async with self._making:
            if self._root is None:
                self._root = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="holdfast-export-"))
            await self._forget(KEPT - 1)
            id = secrets.token_hex(16)
            directory = self._root / id
            await asyncio.to_thread(directory.mkdir)
            try:
                files = await self._export(month, tenant, directory, form)
            except BaseException:
                await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
                raise
            made = self._made[id] = Made(tenant, self._monotonic(), directory, files)
            return id, made

    def find(self, tenant: str, id: str, name: str) -> tuple[Path, Exported]:
        """A file. Raises :class:`ProblemError` when there is none (any more)."""
        made = self._made.get(id)
        for file in made.files if made is not None and made.tenant == tenant else ():
            if file.name == name and made is not None:
                return made.directory / name, file
        raise ProblemError("not-found", "there is no such file; exports are kept for an hour, make it again")

    async def _forget(self, most: int) -> None:
        while self._made:
            id, oldest = next(iter(self._made.items()))
            if len(self._made) <= most and self._monotonic() - oldest.at < KEPT_S:
                return
            del self._made[id]
            # Whoever reads it right now has it open, and reads on.
            await asyncio.to_thread(shutil.rmtree, oldest.directory, ignore_errors=True)

    async def close(self) -> None:
        """Remove everything."""
        self._made.clear()
        if self._root is not None:
            await asyncio.to_thread(shutil.rmtree, self._root, ignore_errors=True)
