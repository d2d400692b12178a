"""What agents and the engine's listener need of the authority."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING

from holdfast.netpulse.shell.certificates.authority import SOON_DAYS
from holdfast.netpulse.shell.certificates.files import (
    NAME,
    Bundle,
    CertificateError,
    Identity,
    bundle_of,
    read_certificate,
    read_identity,
    read_revoked,
    utc_now,
)

if TYPE_CHECKING:
    from pathlib import Path


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
            self._serials, self._seen = read_revoked(self._path), seen
        return serial in self._serials


def find_bundle(directory: Path, name: str | None = None) -> Bundle | None:
    """The bundle of an agent: in the authority's directory by its name, or ``directory`` is the bundle itself."""
    found = [bundle_of(directory, name)] if name is not None and NAME.fullmatch(name) else []
    found.append(Bundle(certificate=directory / "agent.pem", authority=directory / "authority.pem"))
    return next((each for each in found if each.certificate.exists() and each.authority.exists()), None)


def identity(bundle: Bundle) -> Identity:
    """Whom a bundle's certificate names. Raises :class:`CertificateError`."""
    return read_identity(bundle.certificate)


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
    ends = read_certificate(path).not_valid_after_utc
    left = ends - (now or utc_now())
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
