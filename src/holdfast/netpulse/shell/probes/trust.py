"""Whom to trust: TLS contexts, made once, and what is in a certificate."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Sequence
from typing import Any, Final

from cryptography import x509

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.shell.probes.finding import Failed

CONTEXTS: Final = 256
"""That are kept; each holds a trust store."""
CHAINS: Final = 4096
"""Whose expiry is remembered, so that it is read once and not at every probe."""
DAY_S: Final = 86_400.0

_Key = tuple[bool, str, tuple[str, ...], float]


class Trust:
    """TLS contexts by what they trust. Reading the system's authorities takes some 20 ms, so it is done once."""

    __slots__ = ("_contexts", "_expiries")

    def __init__(self) -> None:
        self._contexts: dict[_Key, ssl.SSLContext] = {}
        self._expiries: dict[tuple[bytes, ...], float] = {}

    async def context(self, *, verify: bool, ca_file: str, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """A context; a changed ``ca_file`` makes a new one. Raises :class:`Failed`."""
        try:
            # On the loop, not in a thread: a local file is meant, and a hop to a thread would cost more than the stat.
            changed = os.stat(ca_file).st_mtime if ca_file and verify else 0.0  # noqa: PTH116
            key = (verify, ca_file, alpn, changed)
            context = self._contexts.get(key)
            if context is None:
                context = await asyncio.to_thread(_make, verify, ca_file, alpn)
                if len(self._contexts) >= CONTEXTS:
                    self._contexts.pop(next(iter(self._contexts)))
                self._contexts[key] = context
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or type(error).__name__
            raise Failed(Failure.AGENT, f"the agent cannot read ca_file: {reason}") from None
        return context

    def days_left(self, sock: ssl.SSLSocket, now: float) -> float | None:
        """Days until the first certificate of the peer's chain expires; ``now`` is seconds since the epoch."""
        chain = _chain(sock)
        if not chain:
            return None
        expiry = self._expiries.get(chain)
        if expiry is None:
            try:
                expiry = min(x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp() for der in chain)
            except ValueError:
                return None  # OpenSSL took it; a second reader that is stricter has no say
            if len(self._expiries) >= CHAINS:
                self._expiries.pop(next(iter(self._expiries)))
            self._expiries[chain] = expiry
        return round((expiry - now) / DAY_S, 4)


def _make(verify: bool, ca_file: str, alpn: Sequence[str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None) if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _chain(sock: ssl.SSLSocket) -> tuple[bytes, ...]:
    """The chain as DER: the verified one when there was a verification, else as it was sent."""
    name = "get_unverified_chain" if sock.context.verify_mode is ssl.CERT_NONE else "get_verified_chain"
    public: Any = getattr(sock, name, None)
    if public is not None:  # Python 3.13
        return tuple(public())
    inner: Any = getattr(getattr(sock, "_sslobj", None), name, None)  # the same, before it was made public (3.10)
    if inner is not None:
        return tuple(ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in inner() or ())
    leaf = sock.getpeercert(binary_form=True)
    return (leaf,) if leaf else ()
