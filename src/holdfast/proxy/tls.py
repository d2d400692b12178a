"""TLS for listeners (certificates by name, replaced while running) and towards backends."""

from __future__ import annotations

import dataclasses
import ssl
from typing import TYPE_CHECKING

from holdfast.kernel import HoldfastError

if TYPE_CHECKING:
    from collections.abc import Sequence


class TlsError(HoldfastError):
    """A certificate, key or CA file cannot be used; the message names the file."""

    exit_code = 2


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Paths of a chain and its key, PEM."""

    cert: str
    key: str


class Certificates:
    """The certificates of the listeners. Sessions that are open keep the one they began with.

    ``context`` is what listeners are made with, once; :meth:`load` changes what it hands out.
    """

    def __init__(self, certificates: Sequence[Certificate]) -> None:
        self._by_name: dict[str, ssl.SSLContext] = {}
        self.context = self._default = _server_context()
        self.context.sni_callback = self._choose
        if certificates:
            _load(self.context, certificates[0])  # never shown, but without one a context has no ciphers to offer
        self.load(certificates)

    def load(self, certificates: Sequence[Certificate]) -> None:
        """Use these from the next handshake on, or raise :class:`TlsError` and keep the present ones.

        The first certificate also serves clients that name no host, or one that nobody knows.
        """
        by_name: dict[str, ssl.SSLContext] = {}
        contexts: list[ssl.SSLContext] = []
        for certificate in certificates:
            # A new context each time: one keeps a certificate for each kind of key, so loading would not replace.
            context = _server_context()
            contexts.append(context)
            _load(context, certificate)
            for name in _names(certificate.cert):
                by_name.setdefault(name, context)
        if contexts:
            self._default = contexts[0]
        self._by_name = by_name

    def _choose(self, session: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> int | None:
        name = (name or "").lower()
        session.context = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2]) or self._default
        return None


def client_context(
    *, verify: bool = True, ca: str | None = None, cert: str | None = None, key: str | None = None
) -> ssl.SSLContext:
    """TLS towards backends: verified, unless switched off by name. Raises :class:`TlsError`."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"{ca}: the CA file cannot be used ({error}); give a readable PEM file") from error
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        _load(context, Certificate(cert=cert, key=key or cert))
    return context


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # A context that renegotiates or compresses hands attackers work to give us.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _load(context: ssl.SSLContext, certificate: Certificate) -> None:
    try:
        context.load_cert_chain(certificate.cert, certificate.key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise TlsError(
            f"{certificate.cert}, {certificate.key}: certificate and key cannot be used together ({error}); "
            "give a readable PEM chain and its unencrypted key"
        ) from error


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _names(path: str) -> list[str]:
    """The DNS names in the first certificate of a PEM file, lower-cased."""
    # The only parser of certificates in the standard library that needs no handshake; it has been
    # part of CPython's own test suite and of its documentation's examples since 2.6.
    decoded = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]  # noqa: SLF001
    names = [value for kind, value in decoded.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    if not names:
        names = [value for rdn in decoded.get("subject", ()) for kind, value in rdn if kind == "commonName"]
    return [name.lower() for name in names]
