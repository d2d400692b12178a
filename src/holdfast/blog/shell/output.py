"""The folder that a site is written to: ours to the last file, or not touched at all.

A manifest, ``.holdfast-blog.json``, names every file that a build wrote with its digest. A folder that holds anything
and no manifest belongs to somebody else. Files are written beside their place and renamed into it, the manifest comes
last, and only what an earlier manifest names is ever removed: an interrupted build leaves a folder that the next one
completes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from holdfast.blog.errors import OutputNotOurs

MANIFEST: Final = ".holdfast-blog.json"
_SAFE: Final = re.compile(r"(?!.*(?:^|/)\.\.?(?:/|$))[^/\0\\][^\0\\]*")
"""A path that stays below the folder."""


class File(msgspec.Struct, frozen=True, array_like=True):
    """One file, as it was written."""

    digest: str
    """SHA-256 in hexadecimal digits."""
    size_bytes: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder holds of ours."""

    files: dict[str, File] = {}
    """By path below the folder, in order."""
    redirects: dict[str, str] = {}
    """Former path -> path, both below the site's root: what a server answers with 301."""

    def __post_init__(self) -> None:
        for path in self.files:
            if not _SAFE.fullmatch(path):
                raise ValueError(f"{path!r} leads out of the folder")


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a build did to the folder."""

    written: tuple[str, ...]
    removed: tuple[str, ...]
    manifest: Manifest


def read_manifest(out: Path) -> Manifest | None:
    """The manifest of a folder; ``None`` where nothing is. Raises :class:`OutputNotOurs` for a folder of others."""
    try:
        return msgspec.json.decode((out / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (msgspec.DecodeError, ValueError, OSError) as error:
        raise OutputNotOurs(
            f"{out / MANIFEST} is no manifest of ours ({error}); choose another folder, or remove this one yourself"
        ) from error
    if out.is_dir() and not any(out.iterdir()):
        return None
    if out.exists() or out.is_symlink():
        raise OutputNotOurs(
            f"{out} holds files and no {MANIFEST}, so no build of ours wrote it; nothing was touched: "
            "choose a new folder with -o"
        )
    return None


def write(out: Path, made: Mapping[str, bytes], *, kept: Iterable[str] = (), redirects: Mapping[str, str]) -> Changes:
    """Make the folder hold ``made`` and, of what it holds already, ``kept``; nothing else of ours.

    Raises :class:`OutputNotOurs` before anything is touched, and ``OSError``.
    """
    before = (read_manifest(out) or Manifest()).files
    files = {path: before[path] for path in kept}
    written = []
    out.mkdir(parents=True, exist_ok=True)
    folders: set[Path] = set()
    for path, data in made.items():
        if not _SAFE.fullmatch(path):
            raise ValueError(f"{path!r} leads out of the folder")
        files[path] = File(hashlib.sha256(data).hexdigest(), len(data))
        if before.get(path) == files[path] and is_there(out, path, files[path]):
            continue
        target = out / path
        if target.parent not in folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            folders.add(target.parent)
        replace(target, data)
        written.append(path)
    removed = tuple(sorted(before.keys() - files.keys()))
    manifest = Manifest(files=dict(sorted(files.items())), redirects=dict(sorted(redirects.items())))
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    if written or removed or not _holds(out / MANIFEST, encoded):
        # Until here both manifests hold: what the old one names is still there.
        replace(out / MANIFEST, encoded)
    for path in removed:
        _remove(out, path)
    return Changes(written=tuple(sorted(written)), removed=removed, manifest=manifest)


def is_there(out: Path, path: str, file: File) -> bool:
    """Whether a file stands where it was written, as large as it was. Its content is not read again."""
    try:
        return os.stat(f"{out}/{path}", follow_symlinks=False).st_size == file.size_bytes  # noqa: PTH116 - a Path for each of thousands
    except OSError:
        return False


def replace(target: Path, data: bytes) -> None:
    """Write a file, whole or not at all: a reader sees the old file or the new one."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        draft.write_bytes(data)
        # Not flushed to the disk: after a crash the next build compares, and writes what is missing.
        draft.rename(target)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _remove(out: Path, path: str) -> None:
    target = out / path
    with contextlib.suppress(OSError):
        target.unlink(missing_ok=True)
    for folder in target.parents:
        if folder == out:
            break
        try:
            folder.rmdir()
        except OSError:
            break
