"""The authority: makes itself, signs, and takes back what it signed."""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from holdfast.netpulse.errors import Conflict, Invalid, NotFound
from holdfast.netpulse.shell.certificates.files import (
    NAME,
    Bundle,
    CertificateError,
    Identity,
    bundle_of,
    locked,
    read_certificate,
    read_identity,
    read_issued,
    read_revoked,
    utc_now,
)
from holdfast.netpulse.shell.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

AUTHORITY_DAYS: Final = 3_650
"""Replacing the authority means replacing every certificate by hand; the key is what has to be guarded."""
LEAF_DAYS: Final = 365
SOON_DAYS: Final = 30
"""So long before its end a certificate is warned of, and those of this machine are renewed."""
BACKDATED: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate of an agent, and whether it still counts."""

    identity: Identity
    revoked: bool


def ensure(directory: Path, hosts: Iterable[str], agents: Mapping[str, str], *, now: dt.datetime | None = None) -> None:
    """Make what is missing: the authority, the engine's certificate, and those of ``agents`` (name to region).

    ``hosts`` are the names and addresses that agents reach the engine by. What ends within :data:`SOON_DAYS`, was
    signed by another authority or lacks a host is made anew; everything else stays as it is. Any number of processes
    may do this at once.

    Raises :class:`CertificateError` for a directory or key that cannot be used.
    """
    moment = now or utc_now()
    for name, region in agents.items():
        _checked(name, region)
    with locked(directory):
        authority = _Authority.open(directory, moment)
        wanted = frozenset(hosts)
        if not authority.vouches_for(directory / "engine.pem", moment, wanted):
            authority.sign_engine(directory / "engine.pem", sorted(wanted), moment)
        revoked = read_revoked(directory / "revoked")
        for name, region in agents.items():
            path = bundle_of(directory, name).certificate
            last = read_identity(path) if path.exists() else None
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
    moment = now or utc_now()
    with locked(directory):
        authority = _Authority.open(directory, moment)
        revoked = read_revoked(directory / "revoked")
        for other in read_issued(directory / "issued"):
            standing = other.serial not in revoked and other.expires > moment
            if other.agent == name and other.region != region and standing:
                raise Conflict(f"{name} is an agent of {other.region}; revoke it first, or choose another name")
        return authority.sign_agent(directory, name, region, moment)


def revoke(directory: Path, name: str) -> tuple[str, ...]:
    """All certificates of this agent get nowhere from now on, also on connections that are open; their serials.

    Raises :class:`NotFound` when there never was one.
    """
    with locked(directory):
        serials = [each.serial for each in read_issued(directory / "issued") if each.agent == name]
        if not serials:
            raise NotFound(
                f"{directory} has no certificate of an agent {name!r}; `holdfast netpulse certs list` has all"
            )
        path = directory / "revoked"
        known = read_revoked(path)
        fresh = tuple(serial for serial in serials if serial not in known)
        text = (
            path.read_text("ascii") if path.exists() else "# serial numbers, in hexadecimal; what follows is a note\n"
        )
        replace_file(path, (text + "".join(f"{serial} {name}\n" for serial in fresh)).encode())
        return fresh


def issued(directory: Path) -> list[Issued]:
    """All certificates of agents that were ever signed and have not ended, by name, newest last."""
    revoked = read_revoked(directory / "revoked")
    found = [Issued(identity=each, revoked=each.serial in revoked) for each in read_issued(directory / "issued")]
    return sorted(
        (each for each in found if each.identity.expires > utc_now()),
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
            certificate = read_certificate(path)
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
        replace_file(directory / "authority.key", _key_pem(key))
        replace_file(
            path, certificate.public_bytes(serialization.Encoding.PEM)
        )  # last: with it the authority is complete
        return cls(directory, certificate)

    def vouches_for(self, path: Path, now: dt.datetime, hosts: frozenset[str] = frozenset()) -> bool:
        """Whether this file's certificate is ours, has these hosts and is good for longer than :data:`SOON_DAYS`."""
        if not path.exists():
            return False
        certificate = read_certificate(path)
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
        replace_file(path, pem)

    def sign_agent(self, directory: Path, name: str, region: str, now: dt.datetime) -> Bundle:
        bundle = bundle_of(directory, name)
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
        replace_file(ledger, (before + line).encode())  # first: what is not in the ledger could not be revoked
        replace_file(bundle.authority, self._pem)
        replace_file(bundle.certificate, pem)
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


def _checked(name: str, region: str) -> None:
    for what, text in (("agent", name), ("region", region)):
        if not NAME.fullmatch(text):
            raise Invalid(
                f"{text!r} cannot be the name of an {what}: letters, digits, dots, dashes and underscores, at most 64"
                if what == "agent"
                else f"{text!r} cannot be a region: letters, digits, dots, dashes and underscores, at most 64"
            )


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
