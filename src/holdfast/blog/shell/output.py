"""The folder that a site is written to: ours to the last file, or not touched at all.

A manifest, ``.holdfast-blog.json``, names every file that a build wrote with its digest. A folder that holds anything
and no manifest belongs to somebody else, and so does a file that the manifest does not name where a page is to stand,
and whatever lies behind a link. Before the first file is written a list of what is under way,
``.holdfast-blog.pending``, is put beside the manifest; files are written beside their place and renamed into it, the
manifest comes last, and only what one of the two names is ever removed. So an interrupted build, the first one
included, leaves a folder that the next one completes, and of two builds at once the second waits.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from holdfast.blog.errors import OutputFailed, OutputNotOurs

MANIFEST: Final = ".holdfast-blog.json"
PENDING: Final = ".holdfast-blog.pending"
"""What a build is writing and removing, or was when it was cut off: a list of paths in JSON."""
_DRAFT: Final = re.compile(r"\.\.holdfast-blog\.[a-z]+\.\d+\.new")
"""What a killed build left of one of these two, or of its cache."""
_WAIT_S: Final = 30.0
"""For a build by another process; writing a thousand posts takes less than one."""
_LOOK_S: Final = 0.05
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
    """The manifest of a folder; ``None`` where nothing is. Raises :class:`OutputNotOurs` for a folder of others.

    A folder whose first build was cut off has an empty one.
    """
    try:
        return msgspec.json.decode((out / MANIFEST).read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (msgspec.DecodeError, ValueError, OSError) as error:
        raise OutputNotOurs(
            f"{out / MANIFEST} is no manifest of ours ({error}); choose another folder, or remove this one yourself"
        ) from error
    if (out / PENDING).exists():
        return Manifest()
    if out.is_dir() and all(_DRAFT.fullmatch(one.name) for one in out.iterdir()):
        return None
    if out.exists() or out.is_symlink():
        raise OutputNotOurs(
            f"{out} holds files and no {MANIFEST}, so no build of ours wrote it; nothing was touched: "
            "choose a new folder with -o"
        )
    return None


def read_known(out: Path) -> tuple[dict[str, File], frozenset[str]]:
    """What the manifest names, and what of it is not sure: a build was writing it when it was cut off.

    Raises :class:`OutputNotOurs`.
    """
    return (read_manifest(out) or Manifest()).files, frozenset(_read_pending(out))


def write(
    out: Path,
    made: Mapping[str, bytes],
    *,
    kept: Iterable[str] = (),
    redirects: Mapping[str, str],
    note: tuple[str, bytes] | None = None,
) -> Changes:
    """Make the folder hold ``made`` and, of what it holds already, ``kept``; nothing else of ours.

    ``note`` is a file of the builder's own, by name, that tells of what is there: no killed build leaves it beside
    files that it does not tell of as if they were sure.

    Raises :class:`OutputNotOurs` before anything is touched, :class:`OutputFailed` when another build is in the way,
    and ``OSError``.
    """
    for path in made:
        if not _SAFE.fullmatch(path):
            raise ValueError(f"{path!r} leads out of the folder")
    if not out.is_dir():
        read_manifest(out)  # tells what stands in its place
        out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        return _write(out, made, kept=set(kept), redirects=redirects, note=note)


def _write(
    out: Path,
    made: Mapping[str, bytes],
    *,
    kept: set[str],
    redirects: Mapping[str, str],
    note: tuple[str, bytes] | None,
) -> Changes:
    before = (read_manifest(out) or Manifest()).files
    pending = _read_pending(out)
    if not kept <= before.keys() - pending:
        raise OutputFailed(f"another build has written to {out} meanwhile; build again")
    files = {path: before[path] for path in kept}
    files |= {path: File(hashlib.sha256(data).hexdigest(), len(data)) for path, data in made.items()}
    written = [
        path
        for path in made
        if path in pending or before.get(path) != files[path] or not is_there(out, path, files[path])
    ]
    removed = sorted((before.keys() | pending) - files.keys())
    folders = _folders(out, [*written, *removed])
    _only_ours(out, [path for path in written if path not in before and path not in pending], folders, removed)
    if written or removed:
        replace(out / PENDING, msgspec.json.encode(sorted({*written, *removed, *pending})) + b"\n")
    for path in pending:
        _sweep(out / path, folders)
    for one in out.iterdir():
        if _DRAFT.fullmatch(one.name):
            one.unlink(missing_ok=True)
    in_the_way = _in_the_way(written, removed)
    for path in in_the_way:
        _remove(out, path, folders)
    for path in written:
        target = out / path
        if target.parent not in folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            folders.add(target.parent)
        replace(target, made[path])
    manifest = Manifest(files=dict(sorted(files.items())), redirects=dict(sorted(redirects.items())))
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    if written or removed or not _holds(out / MANIFEST, encoded):
        # Until here both manifests hold: what the old one names is still there, unless a new file needs its place.
        replace(out / MANIFEST, encoded)
    for path in removed:
        if path not in in_the_way:
            _remove(out, path, folders)
    if note is not None:
        replace(out / note[0], note[1])
    if written or removed or pending:
        (out / PENDING).unlink(missing_ok=True)
    return Changes(written=tuple(sorted(written)), removed=tuple(removed), manifest=manifest)


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder. Raises :class:`OutputFailed` when another process does not let go of it."""
    descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise OutputFailed(
                        f"another process has been writing to {out} for {_WAIT_S:.0f} s; end it, or choose another "
                        "folder with -o"
                    ) from None
                time.sleep(_LOOK_S)
        yield
    finally:
        os.close(descriptor)


def _read_pending(out: Path) -> set[str]:
    """Raises :class:`OutputNotOurs` for a list that no build of ours wrote."""
    try:
        found = msgspec.json.decode((out / PENDING).read_bytes(), type=set[str])
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except (msgspec.DecodeError, ValueError, OSError) as error:
        raise OutputNotOurs(
            f"{out / PENDING} is no list of ours ({error}); choose another folder, or remove this one yourself"
        ) from error
    for path in found:
        if not _SAFE.fullmatch(path):
            raise OutputNotOurs(f"{out / PENDING}: {path!r} leads out of the folder; remove the folder yourself")
    return found


def _folders(out: Path, paths: Iterable[str]) -> set[Path]:
    """Folders of these files that are there. Raises :class:`OutputNotOurs` where one of them is a link."""
    there = {out}
    for folder in sorted({folder for path in paths for folder in (out / path).parents if folder not in out.parents}):
        if folder == out or folder.parent not in there:
            continue
        try:
            mode = os.lstat(folder).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(mode):
            raise OutputNotOurs(
                f"{folder} is a link, and what lies behind it is not ours; nothing was touched: remove the link, or "
                "choose another folder with -o"
            )
        if stat.S_ISDIR(mode):
            there.add(folder)
    return there


def _only_ours(out: Path, new: Iterable[str], folders: set[Path], removed: Iterable[str]) -> None:
    """Raises :class:`OutputNotOurs` where somebody else's file has the place of a new one, or of its folder."""
    gone = set(removed)
    seen: set[Path] = set()
    for path in new:
        target = out / path
        # Below the nearest folder that is there nothing is but what stands in it.
        for place in (target, *target.parents):
            if place in seen or (place in folders and place != target):
                break
            seen.add(place)
            if place.parent not in folders or not os.path.lexists(place):
                continue
            name = place.relative_to(out).as_posix()
            if name in gone or (place in folders and any(one.startswith(f"{name}/") for one in gone)):
                continue  # a file or folder of ours that makes room
            raise OutputNotOurs(
                f"{place} is there, and no build of ours wrote it; nothing was touched: move it away, or choose "
                "another folder with -o"
            )


def _in_the_way(written: Iterable[str], removed: Iterable[str]) -> set[str]:
    """Files that go, where a folder has to come, and the other way round."""
    files = set(written)
    above = {folder.as_posix() for path in files for folder in Path(path).parents}
    return {path for path in removed if path in above or not files.isdisjoint(map(Path.as_posix, Path(path).parents))}


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
        draft.unlink(missing_ok=True)  # of a process that had our number, and was killed
        with draft.open("xb") as file:
            file.write(data)
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


def _sweep(target: Path, folders: set[Path]) -> None:
    """Remove what a build that was killed left beside a file."""
    if target.parent not in folders:
        return
    for draft in target.parent.glob(f".{glob.escape(target.name)}.*.new"):
        if draft.name.removeprefix(f".{target.name}.").removesuffix(".new").isdigit():
            draft.unlink(missing_ok=True)


def _remove(out: Path, path: str, folders: set[Path]) -> None:
    target = out / path
    if target.parent not in folders:
        return
    with contextlib.suppress(OSError):
        target.unlink(missing_ok=True)
    for folder in target.parents:
        if folder == out:
            break
        try:
            folder.rmdir()
        except OSError:
            break
        folders.discard(folder)
