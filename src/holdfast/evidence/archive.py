"""Records on disk: ``evidence/<drill>/<id>.json``, written once, read with suspicion."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from holdfast.evidence.errors import RecordExistsError, RecordUnreadableError
from holdfast.evidence.record import Record, sealed, verify


def write(record: Record, directory: Path) -> Path:
    """Seal a record and write it below ``directory``, completely or not at all. Returns its path.

    Raises :class:`RecordExistsError` rather than replace one, and
    :class:`~holdfast.evidence.errors.RecordInconsistentError` rather than write a wrong one.
    """
    record = sealed(record)
    verify(record)
    folder = directory / record.drill
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record.id}.json"
    descriptor, draft = tempfile.mkstemp(dir=folder, prefix=".", suffix=".new")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode(record))
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(0o644)
        try:
            os.link(draft, path)  # unlike a rename, a link never replaces what is there
        except FileExistsError:
            raise RecordExistsError(
                f"{path} exists, and records are not replaced; remove it or wait a second"
            ) from None
    finally:
        Path(draft).unlink()
    return path


def encode(record: Record) -> bytes:
    """The file's bytes: one line per field, sample and metric, so that a diff can be read."""
    lines = []
    for field, value in msgspec.to_builtins(record).items():
        key = msgspec.json.encode(field).decode()
        if isinstance(value, dict) and field != "machine" and value:
            inner = ",\n".join(
                f"  {msgspec.json.encode(name).decode()}: {msgspec.json.encode(one).decode()}"
                for name, one in value.items()
            )
            lines.append(f" {key}: {{\n{inner}\n }}")
        else:
            lines.append(f" {key}: {msgspec.json.encode(value).decode()}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def load(path: Path) -> Record:
    """Read a record and verify it.

    Raises :class:`RecordUnreadableError` for what is not a record and
    :class:`~holdfast.evidence.errors.RecordInconsistentError` for one that contradicts itself.
    """
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except OSError as error:
        raise RecordUnreadableError(path, error.strerror or str(error)) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise RecordUnreadableError(path, f"not an evidence record ({error})") from error
    verify(record)
    return record


def stale_inputs(record: Record, root: Path) -> tuple[str, ...]:
    """Inputs that have changed or gone since the drill ran; empty means that the record is current."""
    stale = []
    for name, digest in record.inputs.items():
        path = root / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            stale.append(name)
    return tuple(stale)
