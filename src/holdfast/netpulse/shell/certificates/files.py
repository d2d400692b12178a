"""The directory of the authority: its files, read with suspicion and replaced as a whole."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from holdfast.netpulse.errors import NetpulseError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_S: Final = 10.0
"""Longest wait for another process that changes the directory; signing takes milliseconds."""

NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
"""Names become directories and parts of a certificate's subject (at most 64 characters, X.520)."""
_SERIAL: Final = re.compile(r"[0-9a-f]{1,40}")


class CertificateError(NetpulseError):
    """A file of the directory cannot be used; the text names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What an agent needs to reach the engine: paths of PEM files."""

    certificate: Path
    """With its key."""
    authority: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whom a certificate names."""

    agent: str
    region: str
    serial: str
    """Hexadecimal, without leading zeros, in lower case."""
    expires: dt.datetime


def bundle_of(directory: Path, name: str) -> Bundle:
    """Where the files of an agent are, or would be."""
    folder = directory / "agents" / name
    return Bundle(certificate=folder / "agent.pem", authority=folder / "authority.pem")


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Change the directory, which is made if need be, alone. Raises :class:`CertificateError`."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CertificateError(
            f"{directory} cannot be written ({error.strerror}); name a directory of this user in agents.certificates"
        ) from error
    try:
        deadline = time.monotonic() + LOCK_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CertificateError(
                        f"{directory / '.lock'} is held by another process for {LOCK_S:g} s; end it and try again"
                    ) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)  # which releases the lock


def read_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file. Raises :class:`CertificateError`."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateError(
            f"{path}: not a readable certificate ({error}); bring it back, or remove it and make it anew"
        ) from error


def read_identity(path: Path) -> Identity:
    """Whom the certificate in a file names. Raises :class:`CertificateError`."""
    certificate = read_certificate(path)
    names = {
        each: [str(found.value) for found in certificate.subject.get_attributes_for_oid(each)]
        for each in (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)
    }
    if any(len(found) != 1 for found in names.values()):
        raise CertificateError(f"{path}: not a certificate of an agent; make one with `holdfast netpulse certs agent`")
    return Identity(
        agent=names[NameOID.COMMON_NAME][0],
        region=names[NameOID.ORGANIZATIONAL_UNIT_NAME][0],
        serial=f"{certificate.serial_number:x}",
        expires=certificate.not_valid_after_utc,
    )


def read_issued(path: Path) -> list[Identity]:
    """What was signed, in that order. Raises :class:`CertificateError`."""
    if not path.exists():
        return []
    try:
        rows = [line.split() for line in path.read_text("ascii").splitlines()]
        return [
            Identity(serial=serial, agent=agent, region=region, expires=dt.datetime.fromisoformat(expires))
            for serial, agent, region, expires in rows
        ]
    except (OSError, ValueError) as error:
        raise CertificateError(f"{path}: cannot be read ({error}); bring it back from a copy") from error


def read_revoked(path: Path) -> frozenset[str]:
    """The serials that get nowhere. Raises :class:`CertificateError` rather than overlook one."""
    try:
        lines = path.read_text("ascii").splitlines()
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError) as error:
        raise CertificateError(f"{path} cannot be read ({error}); no agent is let in") from error
    words = [line.split()[0].lower() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    for word in words:
        if not _SERIAL.fullmatch(word):
            raise CertificateError(f"{path}: {word[:50]!r} is no serial number; no agent is let in until it is mended")
    return frozenset(word.lstrip("0") for word in words)


def utc_now() -> dt.datetime:
    """The time that certificates are held against."""
    return dt.datetime.now(dt.UTC)
