"""The two requests that an agent makes, over one kept connection each."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Final, TypeVar

import aiohttp
import msgspec

from holdfast.netpulse.core.protocol import ORDERS_BYTES, Orders, Receipt, decoder, encode
from holdfast.netpulse.shell.agent.errors import Forbidden, Rejected, Unanswered
from holdfast.netpulse.shell.certificates import CertificateError, agent_context, expiring

if TYPE_CHECKING:
    from holdfast.netpulse.core.protocol import Ask, Batch, Message
    from holdfast.netpulse.shell.certificates import Bundle

log = logging.getLogger(__name__)

CONNECT_S: Final = 5.0
RESULTS_S: Final = 40.0
"""Longest wait for a receipt: the engine gives up on its store before."""
ORDERS_GRACE_S: Final = 5.0
"""Added to what the engine said it would take; after that it is taken for dead."""
KEEP_S: Final = 15.0
"""An idle connection is closed by this side, before the engine does so while a request is under way."""
RECEIPT_BYTES: Final = 64 * 1024
CONTENT_TYPE: Final = "application/msgpack"

_A = TypeVar("_A", Orders, Receipt)
_NEVER_ACCEPTED: Final = frozenset({400, 411, 413, 415, 422})
"""Statuses that depend on nothing but the request."""


class Link:
    """HTTPS to one engine. Close it at the end."""

    def __init__(self, url: str, bundle: Bundle) -> None:
        """Raises :class:`CertificateError` for a bundle that cannot be used."""
        base = url.rstrip("/")
        self._orders_url, self._results_url = f"{base}/agent/v1/orders", f"{base}/agent/v1/results"
        self._bundle = bundle
        self._orders = decoder(Orders)
        self._receipt = decoder(Receipt)
        self._results_timeout = aiohttp.ClientTimeout(total=RESULTS_S, connect=CONNECT_S)
        self._read = self._stamp()
        self._session = self._open()

    async def orders(self, ask: Ask, *, wait_s: float) -> Orders:
        """Say that we live, wait for what there is to do, up to ``wait_s`` and a bit."""
        timeout = aiohttp.ClientTimeout(total=wait_s + ORDERS_GRACE_S, connect=CONNECT_S)
        return await self._ask(self._orders_url, ask, self._orders, timeout, ORDERS_BYTES)

    async def results(self, batch: Batch) -> Receipt:
        """Say what was seen; returns when it is committed."""
        return await self._ask(self._results_url, batch, self._receipt, self._results_timeout, RECEIPT_BYTES)

    async def renew(self) -> None:
        """Use the certificate that is on disk, if it is another one. One that cannot be used is said, and not used."""
        stamp = self._stamp()
        if stamp is None or stamp == self._read:
            return
        self._read = stamp
        try:
            fresh = self._open()
        except CertificateError as error:
            log.warning(str(error), extra={"action": "certificate_unusable"})
            return
        before, self._session = self._session, fresh
        await before.close()  # requests under way fail, and are repeated over the new one

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        context = agent_context(self._bundle)
        if said := expiring(self._bundle.certificate):
            log.warning(said, extra={"action": "certificate_expires"})
        # Two connections: the long poll on one must not keep results waiting. No proxy from the environment.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=4, keepalive_timeout=KEEP_S),
            headers={"Content-Type": CONTENT_TYPE, "Accept": CONTENT_TYPE},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._bundle.certificate.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    async def _ask(
        self,
        url: str,
        message: Message,
        decoder: msgspec.msgpack.Decoder[_A],
        limits: aiohttp.ClientTimeout,
        most: int,
    ) -> _A:
        # (A large body as bytes would go out in one piece, and aiohttp warns of it; a file goes in chunks.)
        body = io.BytesIO(encode(message))
        try:
            async with self._session.post(url, data=body, timeout=limits, allow_redirects=False) as answer:
                if answer.status != 200:
                    text = (await answer.content.read(512)).decode("utf-8", "replace")
                    raise _failure(answer, f"{url} answered {answer.status}: {' '.join(text.split())[:200]}")
                if answer.content_length is None or answer.content_length > most:
                    raise Unanswered(f"{url} answered {answer.content_length} bytes; at most {most} are read")
                return decoder.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unanswered(f"{url}: {type(error).__name__}: {error}") from error
        except msgspec.MsgspecError as error:
            raise Unanswered(f"{url} answered what is not of this protocol: {error}; is it the engine?") from error


def _failure(answer: aiohttp.ClientResponse, said: str) -> Unanswered | Rejected:
    if answer.status in _NEVER_ACCEPTED:
        return Rejected(said, status=answer.status)
    if answer.status == 403:
        return Forbidden(said)
    after = answer.headers.get("Retry-After", "")
    return Unanswered(said, retry_after_s=min(60.0, float(after)) if after.isdecimal() else 0.0)
