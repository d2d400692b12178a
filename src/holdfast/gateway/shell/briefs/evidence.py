"""Directories of evidence, read within bounds and again when they changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from holdfast.gateway.core.briefs.index import Index
from holdfast.gateway.core.briefs.passages import Passage, passages_of

FILES: Final = 2_000
FILE_BYTES: Final = 1024 * 1024
ALL_BYTES: Final = 32 * 1024 * 1024
_ENDINGS: Final = (".md", ".markdown", ".yaml", ".yml", ".json")


class Evidence:
    """What stands below some paths. Not for two threads at once."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = tuple(Path(path) for path in paths)
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self._index = Index([])
        self.left_out: list[str] = []
        """What was not read, and why."""

    def index(self) -> Index:
        """Of the files as they are now. Blocks."""
        self.left_out = [f"{path}: is no directory" for path in self._paths if not path.is_dir()]
        files = list(self._files())
        seen = tuple((str(path), status.st_mtime_ns, status.st_size) for path, _, status in files)
        if seen != self._seen:
            passages: list[Passage] = []
            for path, name, _ in files:
                try:
                    passages += passages_of(name, _read(path))
                except (OSError, UnicodeError) as error:
                    self.left_out.append(f"{name}: {type(error).__name__}")
            self._index, self._seen = Index(passages), seen
        return self._index

    def _files(self) -> Iterator[tuple[Path, str, os.stat_result]]:
        count = total = 0
        for root in self._paths:
            # Links are not followed: what is cited stands where the operator said.
            for directory, names, files in os.walk(root, followlinks=False):
                names.sort()
                for each in sorted(files):
                    path = Path(directory, each)
                    if not each.endswith(_ENDINGS) or path.is_symlink():
                        continue
                    try:
                        status = path.stat()
                    except OSError:
                        continue
                    name = f"{root.name}/{path.relative_to(root).as_posix()}"
                    if status.st_size > FILE_BYTES or count >= FILES or total + status.st_size > ALL_BYTES:
                        self.left_out.append(f"{name}: too large, or too many")
                        continue
                    count += 1
                    total += status.st_size
                    yield path, name, status


def _read(path: Path) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        return file.read(FILE_BYTES).decode("utf-8")
