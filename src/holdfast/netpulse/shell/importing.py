"""Read another monitor's files, and have them taken over."""

from __future__ import annotations

from pathlib import Path

from holdfast.netpulse.core.importing import MAX_BYTES, Imported, read_blackbox, read_gatus, read_uptime_kuma
from holdfast.netpulse.errors import Invalid


def import_from(origin: str, file: Path, *, targets: Path | None, keep_rules: bool) -> Imported:
    """See :func:`holdfast.netpulse.import_from`."""
    if origin == "blackbox":
        if targets is None:
            raise Invalid(f"{file}: modules have no targets: add --targets prometheus.yml")
        return read_blackbox(_read(file), str(file), _read(targets), str(targets))
    if targets is not None:
        raise Invalid(f"{targets}: --targets is for blackbox: leave it out")
    if origin == "gatus":
        return read_gatus(_read(file), str(file), keep_rules=keep_rules)
    if origin == "uptime-kuma":
        return read_uptime_kuma(_read(file), str(file), keep_rules=keep_rules)
    raise Invalid(f"{origin}: not known; write uptime-kuma, gatus or blackbox")


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise Invalid(f"{file}: cannot be read: {reason}; check the path and its permissions") from error
    if len(data) > MAX_BYTES:
        raise Invalid(f"{file}: larger than 1 MiB; split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
