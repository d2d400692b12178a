"""Providers as the data plane sees them: an address, kept connections, and how to prove who we are."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from holdfast.gateway.core.wire.presets import PRESETS, credentials
from holdfast.gateway.core.wire.sigv4 import Credentials, sign
from holdfast.gateway.errors import Invalid
from holdfast.http1 import Limits
from holdfast.kernel.addresses import is_public
from holdfast.proxy.backend import Address, Backend

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.gateway.core.dialect import Outgoing
    from holdfast.gateway.core.settings import ProviderProtocol, ProviderSettings
    from holdfast.proxy.upstream import UpstreamConnection

_ENCODER = msgspec.json.Encoder()


class Provider:
    """One provider. Raises :class:`Invalid` when its key, authorities or address cannot be used."""

    def __init__(self, name: str, settings: ProviderSettings) -> None:
        preset = PRESETS.get(name)
        self.name = name
        self.settings = settings
        protocol = settings.protocol or (preset.protocol if preset is not None else None)
        url = settings.url or (preset.url if preset is not None else None)
        if protocol is None or url is None:
            raise Invalid(f"gateway.providers.{name}: give protocol and url; {name!r} is no known provider")
        self.protocol: ProviderProtocol = protocol
        self.auth = settings.auth or (preset.auth if preset is not None else "bearer")
        self.responses = (
            settings.responses if settings.responses is not None else bool(preset is not None and preset.responses)
        )
        if settings.region is not None:
            url = url.replace("{region}", settings.region)
        self._key = _key(name, settings)
        self._signer = Credentials(
            access_key_id=settings.access_key_id or "",
            secret_access_key=self._key or "",
            session_token=settings.session_token,
        )
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self._base = parts.path.rstrip("/")
        context = _context(name, settings) if secure else None
        port = parts.port or (443 if secure else 80)
        private = settings.private or (preset is not None and preset.private and settings.url is None)
        kind = Backend if private else PublicBackend
        self.backend = kind(name, Address(host=self.host, port=port, context=context))
        # Chunks of streams are small and many; the bound of a body is the attempt's.
        self.backend.response_limits = Limits(body=None)
        default = parts.port is None or (secure and port == 443) or (not secure and port == 80)
        self._authority = self.host if default else f"{self.host}:{port}"
        self._query = {**(preset.query if preset is not None else {}), **settings.query}
        self._fixed = "".join(
            f"{key}: {value}\r\n"
            for key, value in {
                **(credentials(self.auth, self._key, protocol=protocol) if self.auth != "sigv4" else {}),
                **settings.headers,
            }.items()
            if self.auth != "sigv4" or key in settings.headers
        ).encode("latin-1")

    def request(
        self, outgoing: Outgoing, body: bytes, *, attempt: str, traceparent: str, wall: float, extra: Mapping[str, str]
    ) -> bytes:
        """The request as it goes over the wire."""
        path, _, query = outgoing.path.partition("?")
        target = self._base + quote(path, safe="/:%@~")
        if self._query:
            query = f"{query}&{urlencode(self._query)}" if query else urlencode(self._query)
        if query:
            target = f"{target}?{query}"
        own = "".join(f"{key}: {_clean(value)}\r\n" for key, value in {**outgoing.headers, **extra}.items())
        fixed = self._fixed
        if self.auth == "sigv4":
            plain, _, asked = target.partition("?")
            signed = sign(
                method="POST",
                host=self._authority,
                path=plain,
                query=asked,
                headers={"content-type": "application/json"},
                payload=body,
                credentials=self._signer,
                region=self.settings.region or "us-east-1",
                at=datetime.fromtimestamp(wall, UTC),
            )
            fixed += "".join(f"{key}: {value}\r\n" for key, value in signed.items()).encode("latin-1")
        kind = "" if "content-type" in extra else "Content-Type: application/json\r\n"
        trace = f"traceparent: {traceparent}\r\n" if traceparent else ""
        return (
            b"POST %b HTTP/1.1\r\nHost: %b\r\n%bContent-Length: %d\r\nAccept-Encoding: identity\r\n"
            b"x-holdfast-attempt: %b\r\n%b\r\n%b"
            % (
                target.encode("ascii"),
                self._authority.encode("ascii"),
                fixed + kind.encode(),
                len(body),
                attempt.encode("ascii"),
                (trace + own).encode("latin-1", "replace"),
                body,
            )
        )


class PublicBackend(Backend):
    """A provider in the Internet: a name of it that leads into a network of ours is not followed.

    The configuration was judged by the address that it names; what a name resolves to is known only now, and may
    change. Nothing is sent before the look at the peer.
    """

    async def connect(self, timeout_s: float, protocol: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        """See :class:`~holdfast.proxy.backend.Backend`."""
        upstream = await super().connect(timeout_s, protocol)
        peer = upstream.transport.get_extra_info("peername")
        if peer is not None and not is_public(ip_address(peer[0].partition("%")[0])):
            upstream.close()
            raise OSError(f"{peer[0]} is an address of a private network; set private: true when that is meant")
        return upstream


def encode(body: object) -> bytes:
    """A body for a provider."""
    return _ENCODER.encode(body)


def _key(name: str, settings: ProviderSettings) -> str | None:
    if settings.key_file is None:
        return settings.key or None
    try:
        with Path(settings.key_file).open(encoding="ascii") as file:
            return file.readline().strip()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
        raise Invalid(
            f"gateway.providers.{name}.key_file: {settings.key_file}: {why}; its first line has to be the key"
        ) from error


def _context(name: str, settings: ProviderSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(
            f"gateway.providers.{name}.ca: {settings.ca}: {error}; give a PEM file of certificates"
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def _clean(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")
