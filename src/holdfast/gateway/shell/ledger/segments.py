"""The journal's files: append-only segments in a directory of which one process at a time may be the owner.

``journal.lock`` is locked for as long as the directory is open; ``journal.id`` names the journal (and with it the parts
of budgets that it was granted) for all of its life; ``NNNNNNNN.seg`` are the segments.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import uuid
from pathlib import Path
from typing import Final, NamedTuple

from holdfast.gateway.core.journal import MAX_RECORD, Record, frame, records, whole
from holdfast.gateway.errors import GatewayError

SEGMENT_BYTES: Final = 8 * 1024 * 1024

log = logging.getLogger(__name__)


class JournalError(GatewayError):
    """The journal cannot be opened or written; the text says what to do."""


class Position(NamedTuple):
    """A place in the journal."""

    segment: int
    offset: int


class Segments:
    """The open journal. All of it but :meth:`sync` and :meth:`read` belongs to the loop."""

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._lock = -1
        self._descriptor = -1
        self._unsynced: list[int] = []
        """Segments that were left with writes that are not yet on disk."""
        self._dirty = False
        self.id = ""
        self.end = Position(1, 0)
        """Where the next record goes."""

    def open(self) -> None:
        """Take the directory, and cut what a crash left torn at its end. Raises :class:`JournalError`."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self._directory / "journal.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(
                f"{self._directory} cannot hold the journal: {error.strerror}; see gateway.ledger.path"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            self._lock = -1
            raise JournalError(
                f"another process writes the journal in {self._directory}; give each gateway a gateway.ledger.path "
                "of its own, or end the other one"
            ) from None
        try:
            self._open()
        except OSError as error:
            self.close()
            raise JournalError(
                f"the journal in {self._directory} cannot be read: {error.strerror}; see gateway.ledger.path"
            ) from error

    def _open(self) -> None:
        named = self._directory / "journal.id"
        if not named.exists():
            fresh = named.with_suffix(".new")
            fresh.write_text(uuid.uuid4().hex)
            fresh.rename(named)
        self.id = named.read_text().strip()
        numbers = self.numbers()
        last = numbers[-1] if numbers else 1
        path = self._path(last)
        if path.exists():
            data = path.read_bytes()
            end = whole(data)
            if end < len(data):
                os.truncate(path, end)
        self._start(last)

    def close(self) -> None:
        """Force everything to the disk and let the directory go."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self.sync()
            os.close(self._descriptor)
            self._descriptor = -1
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def append(self, record: Record) -> None:
        """Write a record; it survives the death of this process from here on. Raises :class:`JournalError`.

        Of a write that fails nothing is left in the file, so that the next one follows a whole record.
        """
        data = frame(record)
        try:
            if self.end.offset + len(data) > self._segment_bytes and self.end.offset:
                self._rotate()
            written = os.write(self._descriptor, data)
            if written < len(data):  # the disk is full
                os.ftruncate(self._descriptor, self.end.offset)
                raise JournalError(f"no room for the journal in {self._directory}: free some space there")
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.end.offset)
            raise JournalError(
                f"the journal in {self._directory} cannot be written: {error.strerror}; see that there is room"
            ) from error
        self.end = Position(self.end.segment, self.end.offset + len(data))
        self._dirty = True

    def sync(self) -> None:
        """Force what was written so far to the disk. May run in a thread of its own beside :meth:`append`."""
        left, self._unsynced = self._unsynced, []
        for descriptor in left:
            os.fdatasync(descriptor)
            os.close(descriptor)
        if self._dirty:
            self._dirty = False
            os.fdatasync(self._descriptor)

    def read(self, start: Position, limit: int) -> tuple[list[Record], Position]:
        """Up to about ``limit`` records from a place on, of one segment, and where the next ones begin."""
        end = self.end
        if start >= end:
            return [], start
        path = self._path(start.segment)
        try:
            with path.open("rb") as file:
                file.seek(start.offset)
                data = file.read(self._segment_bytes + MAX_RECORD)
        except FileNotFoundError:
            raise JournalError(
                f"{path} is missing, and its attempts are not all in the store yet; put it back, "
                "or remove the whole directory to begin a new journal"
            ) from None
        found: list[Record] = []
        at = 0
        for record, at in records(data):
            found.append(record)
            if len(found) >= limit:
                return found, Position(start.segment, start.offset + at)
        if start.segment == end.segment:
            return found, Position(start.segment, start.offset + at)
        if at < len(data):
            log.error(
                "%s is damaged at byte %d: what follows in it cannot be read and is not accounted for",
                path,
                start.offset + at,
                extra={"action": "journal_damaged"},
            )
        return found, Position(start.segment + 1, 0)

    def drop(self, before: int) -> None:
        """Remove the segments below a number: all that is in them is in the store."""
        for number in self.numbers():
            if number < before:
                self._path(number).unlink(missing_ok=True)

    def numbers(self) -> list[int]:
        """Of the segments there are, in order."""
        return sorted(int(path.stem) for path in self._directory.glob("*.seg") if path.stem.isdigit())

    def skip_to(self, segment: int) -> None:
        """Go on in a segment of this number at least: the earlier ones were folded and are gone."""
        if segment > self.end.segment:
            self._rotate(segment)

    def _rotate(self, number: int | None = None) -> None:
        old = self._descriptor
        self._start(self.end.segment + 1 if number is None else number)
        self._unsynced.append(old)

    def _start(self, number: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path(number), flags, 0o600)
        self.end = Position(number, os.fstat(self._descriptor).st_size)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:08d}.seg"
