"""Who may speak for a region: an authority of our own, and the certificates that it signed.

::

    DIRECTORY/                     0700
      authority.pem  authority.key the authority; whoever has the key can make agents
      engine.pem                   certificate and key of the engine's listener
      issued                       what was signed: SERIAL NAME REGION EXPIRES, one per line
      revoked                      serial numbers that get nowhere, one per line
      agents/NAME/                 a bundle: all that an agent needs, to be copied to its machine
        agent.pem                  certificate (CN: the agent, OU: its region) and key
        authority.pem              whom it believes

Rules:

- A certificate and its key are one file, so that replacing it is one rename and a reader never sees halves of two.
- Whatever changes the directory holds its lock: two processes that start at once make one authority.
- Certificates begin a day before they were made: a machine whose clock is behind can use them at once.
- A name that was revoked stays so until somebody makes it anew on purpose; :func:`ensure` does not.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import ipaddress
import logging
import os
import re
import ssl
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast.netpulse.errors import Conflict, Invalid, NetpulseError, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

log = logging.getLogger(__name__)

AUTHORITY_DAYS: Final = 3_650
"""Replacing the authority means replacing every certificate by hand; the key is what has to be guarded."""
LEAF_DAYS: Final = 365
SOON_DAYS: Final = 30
"""So long before its end a certificate is warned of, and those of this machine are renewed."""
BACKDATED: Final = dt.timedelta(days=1)
LOCK_S: Final = 10.0
"""Longest wait for another process that changes the directory; signing takes milliseconds."""

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate of an agent, and whether it still counts."""

    identity: Identity
    revoked: bool


# ---------------------------------------------------------------- making


def ensure(directory: Path, hosts: Iterable[str], agents: Mapping[str, str], *, now: dt.datetime | None = None) -> None:
    """Make what is missing: the authority, the engine's certificate, and those of ``agents`` (name to region).

    ``hosts`` are the names and addresses that agents reach the engine by. What ends within :data:`SOON_DAYS`, was
    signed by another authority or lacks a host is made anew; everything else stays as it is. Any number of processes
    may do this at once.

    Raises :class:`CertificateError` for a directory or key that cannot be used.
    """
    moment = now or _now()
    for name, region in agents.items():
        _checked(name, region)
    with _locked(directory):
        authority = _Authority.open(directory, moment)
        wanted = frozenset(hosts)
        if not authority.vouches_for(directory / "engine.pem", moment, wanted):
            authority.sign_engine(directory / "engine.pem", sorted(wanted), moment)
        revoked = _read_revoked(directory / "revoked")
        for name, region in agents.items():
            path = _bundle(directory, name).certificate
            last = _read_identity(path) if path.exists() else None
            if last is not None and last.serial in revoked:
                log.warning("revoked, and not made anew", extra={"action": "certificate_revoked", "agent": name})
            elif last is None or last.region != region or not authority.vouches_for(path, moment):
                authority.sign_agent(directory, name, region, moment)


def make_agent(directory: Path, region: str, name: str | None = None, *, now: dt.datetime | None = None) -> Bundle:
    """Sign a certificate for an agent; the bundle to copy to its machine.

    The name is the region's when none is given. For an agent that has one already this is the renewal, and the old
    certificate counts until it ends or is revoked. Raises :class:`Conflict` when the name belongs to another region,
    :class:`Invalid` for a name that cannot be one, :class:`CertificateError` for a directory that cannot be used.
    """
    name = name or region
    _checked(name, region)
    moment = now or _now()
    with _locked(directory):
        authority = _Authority.open(directory, moment)
        revoked = _read_revoked(directory / "revoked")
        for other in _read_issued(directory / "issued"):
            standing = other.serial not in revoked and other.expires > moment
            if other.agent == name and other.region != region and standing:
                raise Conflict(f"{name} is an agent of {other.region}; revoke it first, or choose another name")
        return authority.sign_agent(directory, name, region, moment)


def revoke(directory: Path, name: str) -> tuple[str, ...]:
    """All certificates of this agent get nowhere from now on, also on connections that are open; their serials.

    Raises :class:`NotFound` when there never was one.
    """
    with _locked(directory):
        serials = [each.serial for each in _read_issued(directory / "issued") if each.agent == name]
        if not serials:
            raise NotFound(
                f"{directory} has no certificate of an agent {name!r}; `holdfast netpulse certs list` has all"
            )
        path = directory / "revoked"
        known = _read_revoked(path)
        fresh = tuple(serial for serial in serials if serial not in known)
        text = (
            path.read_text("ascii") if path.exists() else "# serial numbers, in hexadecimal; what follows is a note\n"
        )
        _write(path, text + "".join(f"{serial} {name}\n" for serial in fresh))
        return fresh


def issued(directory: Path) -> list[Issued]:
    """All certificates of agents that were ever signed and have not ended, by name, newest last."""
    revoked = _read_revoked(directory / "revoked")
    found = [Issued(identity=each, revoked=each.serial in revoked) for each in _read_issued(directory / "issued")]
    return sorted(
        (each for each in found if each.identity.expires > _now()),
        key=lambda each: (each.identity.agent, each.identity.expires),
    )


class _Authority:
    """The one that signs."""

    def __init__(self, directory: Path, certificate: x509.Certificate) -> None:
        self._directory = directory
        self._certificate = certificate
        self._pem = certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def open(cls, directory: Path, now: dt.datetime) -> _Authority:
        """Read it, or make it when there is none."""
        path = directory / "authority.pem"
        if path.exists():
            certificate = _read_certificate(path)
            if certificate.not_valid_after_utc <= now:
                raise CertificateError(f"{path} has expired; move {directory} away and make all certificates anew")
            return cls(directory, certificate)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Holdfast NetPulse authority")])
        certificate = (
            _builder(name, name, key.public_key(), now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(directory / "authority.key", _key_pem(key))
        _write(path, certificate.public_bytes(serialization.Encoding.PEM))  # last: with it the authority is complete
        return cls(directory, certificate)

    def vouches_for(self, path: Path, now: dt.datetime, hosts: frozenset[str] = frozenset()) -> bool:
        """Whether this file's certificate is ours, has these hosts and is good for longer than :data:`SOON_DAYS`."""
        if not path.exists():
            return False
        certificate = _read_certificate(path)
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except Exception:  # noqa: BLE001 - InvalidSignature, TypeError, ValueError: all of them say no
            return False
        soon = now + dt.timedelta(days=SOON_DAYS)
        return certificate.not_valid_after_utc > soon and hosts <= _hosts(certificate)

    def sign_engine(self, path: Path, hosts: Sequence[str], now: dt.datetime) -> None:
        if not hosts:
            raise Invalid("the engine's certificate needs a host name or an address that agents reach it by")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Holdfast NetPulse engine")])
        _, pem = self._leaf(subject, ExtendedKeyUsageOID.SERVER_AUTH, now, [_general_name(host) for host in hosts])
        _write(path, pem)

    def sign_agent(self, directory: Path, name: str, region: str, now: dt.datetime) -> Bundle:
        bundle = _bundle(directory, name)
        for folder in (bundle.certificate.parent.parent, bundle.certificate.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, region),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        certificate, pem = self._leaf(subject, ExtendedKeyUsageOID.CLIENT_AUTH, now)
        ledger = directory / "issued"
        before = ledger.read_text("ascii") if ledger.exists() else ""
        line = f"{certificate.serial_number:x} {name} {region} {certificate.not_valid_after_utc.isoformat()}\n"
        _write(ledger, before + line)  # first: what is not in the ledger could not be revoked
        _write(bundle.authority, self._pem)
        _write(bundle.certificate, pem)
        return bundle

    def _leaf(
        self,
        subject: x509.Name,
        purpose: x509.ObjectIdentifier,
        now: dt.datetime,
        names: Sequence[x509.GeneralName] = (),
    ) -> tuple[x509.Certificate, bytes]:
        signer = self._key()
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, self._certificate.subject, key.public_key(), now, LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(signer, hashes.SHA256())
        return certificate, certificate.public_bytes(serialization.Encoding.PEM) + _key_pem(key)

    def _key(self) -> ec.EllipticCurvePrivateKey:
        path = self._directory / "authority.key"
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise CertificateError(
                f"{path}: the authority's key cannot be read ({error}); bring it back, or sign where it is kept"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{path}: not an EC key; bring the authority's own key back")
        return key


# ---------------------------------------------------------------- using


class Revocations:
    """The list of revoked serials as the file says now: looked at whenever it is asked."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "revoked"
        self._seen: tuple[int, int, int] | None = None
        self._serials: frozenset[str] = frozenset()

    def __contains__(self, serial: str) -> bool:
        """Raises :class:`CertificateError` for a file that cannot be read: then nobody may be let in."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return serial in self._serials  # a list that was there once still counts
        except OSError as error:
            raise CertificateError(f"{self._path} cannot be read ({error.strerror}); no agent is let in") from error
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen != self._seen:
            self._serials, self._seen = _read_revoked(self._path), seen
        return serial in self._serials


def find_bundle(directory: Path, name: str | None = None) -> Bundle | None:
    """The bundle of an agent: in the authority's directory by its name, or ``directory`` is the bundle itself."""
    found = [_bundle(directory, name)] if name is not None and _NAME.fullmatch(name) else []
    found.append(Bundle(certificate=directory / "agent.pem", authority=directory / "authority.pem"))
    return next((each for each in found if each.certificate.exists() and each.authority.exists()), None)


def identity(bundle: Bundle) -> Identity:
    """Whom a bundle's certificate names. Raises :class:`CertificateError`."""
    return _read_identity(bundle.certificate)


def agent_context(bundle: Bundle) -> ssl.SSLContext:
    """TLS of an agent: shows its certificate, believes nobody but the authority. Raises :class:`CertificateError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain and the host's name
    return _loaded(context, bundle.certificate, bundle.authority)


def engine_context(directory: Path) -> ssl.SSLContext:
    """TLS of the engine's listener: nobody gets through without a certificate of the authority's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0  # a resumed session would not show its certificate again, which may have expired
    context.options |= ssl.OP_NO_COMPRESSION
    return _loaded(context, directory / "engine.pem", directory / "authority.pem")


def expiring(path: Path, *, now: dt.datetime | None = None) -> str:
    """What to say about the end of a certificate, empty when it is far away. Raises :class:`CertificateError`."""
    ends = _read_certificate(path).not_valid_after_utc
    left = ends - (now or _now())
    if left > dt.timedelta(days=SOON_DAYS):
        return ""
    when = "has expired" if left < dt.timedelta() else f"expires in {left.days} days"
    return f"{path} {when} ({ends:%Y-%m-%d}); renew it with `holdfast netpulse certs`"


def _loaded(context: ssl.SSLContext, certificate: Path, authority: Path) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3  # both ends are ours
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(authority)
        context.load_cert_chain(certificate)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(
            f"{certificate}, {authority}: cannot be used ({error}); make them with `holdfast netpulse certs`"
        ) from error
    return context


# ---------------------------------------------------------------- files


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _checked(name: str, region: str) -> None:
    for what, text in (("agent", name), ("region", region)):
        if not _NAME.fullmatch(text):
            raise Invalid(
                f"{text!r} cannot be the name of an {what}: letters, digits, dots, dashes and underscores, at most 64"
                if what == "agent"
                else f"{text!r} cannot be a region: letters, digits, dots, dashes and underscores, at most 64"
            )


def _bundle(directory: Path, name: str) -> Bundle:
    folder = directory / "agents" / name
    return Bundle(certificate=folder / "agent.pem", authority=folder / "authority.pem")


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
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


def _write(path: Path, data: bytes | str) -> None:
    """Replace a file completely or not at all; for its owner only."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode("ascii") if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(draft).unlink()
        raise


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateError(
            f"{path}: not a readable certificate ({error}); bring it back, or remove it and make it anew"
        ) from error


def _read_identity(path: Path) -> Identity:
    certificate = _read_certificate(path)
    names = {
        each: [str(found.value) for found in certificate.subject.get_attributes_for_oid(each)]
        for each in (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME)
    }
    if any(len(found) != 1 for found in names.values()):
        raise CertificateError(f"{path}: not a certificate of an agent; make one with `holdfast netpulse certs`")
    return Identity(
        agent=names[NameOID.COMMON_NAME][0],
        region=names[NameOID.ORGANIZATIONAL_UNIT_NAME][0],
        serial=f"{certificate.serial_number:x}",
        expires=certificate.not_valid_after_utc,
    )


def _read_issued(path: Path) -> list[Identity]:
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


def _read_revoked(path: Path) -> frozenset[str]:
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


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host)


def _hosts(certificate: x509.Certificate) -> frozenset[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(names.get_values_for_type(x509.DNSName)) | frozenset(
        str(each) for each in names.get_values_for_type(x509.IPAddress)
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


__all__ = [
    "Bundle",
    "CertificateError",
    "Identity",
    "Issued",
    "Revocations",
    "agent_context",
    "engine_context",
    "ensure",
    "expiring",
    "find_bundle",
    "identity",
    "issued",
    "make_agent",
    "revoke",
]
