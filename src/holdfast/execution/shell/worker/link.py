"""The two requests that a worker makes, over one kept connection each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import aiohttp
import msgspec

from holdfast.execution.core.protocol import Message, Orders, Receipt, Report, Sync
from holdfast.execution.shell.worker.errors import Rejected, Unanswered

if TYPE_CHECKING:
    from typing import Protocol

    class Api(Protocol):
        """What a worker needs of the API."""

        async def sync(self, message: Sync) -> Orders:
            """Raises :class:`Unanswered` or :class:`Rejected`."""
            ...

        async def report(self, message: Report) -> Receipt:
            """Raises :class:`Unanswered` or :class:`Rejected`."""
            ...


CONNECT_S: Final = 5.0
REPORT_S: Final = 15.0
"""Longest wait for a receipt: a commit takes milliseconds, a store that fails over takes seconds."""
SYNC_GRACE_S: Final = 10.0
"""Added to ``wait_s``; after that the API is taken for dead."""
MAX_ANSWER_BYTES: Final = 256 * 2**20
"""Largest answer that is read: more than any number of slots times the largest job."""
CONTENT_TYPE: Final = "application/msgpack"

_A = TypeVar("_A", Orders, Receipt)
_NEVER_ACCEPTED: Final = frozenset({400, 413, 415, 422})
"""Statuses that depend on nothing but the request. 401 and 403 may be mended by whoever runs the service."""


class Link:
    """HTTP to one API. Close it at the end."""

    def __init__(self, api: str, key: str) -> None:
        """``api`` is ``http://HOST:PORT``; ``key`` has the scope ``worker``."""
        base = api.rstrip("/")
        self._sync_url, self._report_url = f"{base}/internal/v1/sync", f"{base}/internal/v1/report"
        # Two connections: the long poll on one must not keep a report waiting. No proxy from the environment.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=4, keepalive_timeout=60.0),
            headers={"Authorization": f"Bearer {key}", "Content-Type": CONTENT_TYPE, "Accept": CONTENT_TYPE},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )
        self._encoder = msgspec.msgpack.Encoder()
        self._orders = msgspec.msgpack.Decoder(Orders)
        self._receipt = msgspec.msgpack.Decoder(Receipt)
        self._report_timeout = aiohttp.ClientTimeout(total=REPORT_S, connect=CONNECT_S)

    async def sync(self, message: Sync) -> Orders:
        """Say what there is room for, wait for orders up to ``message.wait_s``."""
        timeout = aiohttp.ClientTimeout(total=message.wait_s + SYNC_GRACE_S, connect=CONNECT_S)
        return await self._ask(self._sync_url, message, self._orders, timeout)

    async def report(self, message: Report) -> Receipt:
        """Say what happened; returns when it is committed."""
        return await self._ask(self._report_url, message, self._receipt, self._report_timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _ask(
        self, url: str, message: Message, decoder: msgspec.msgpack.Decoder[_A], limits: aiohttp.ClientTimeout
    ) -> _A:
        body = self._encoder.encode(message)
        try:
            async with self._session.post(url, data=body, timeout=limits, allow_redirects=False) as answer:
                if answer.status != 200:
                    text = (await answer.content.read(512)).decode("utf-8", "replace")
                    said = f"{url} answered {answer.status}: {' '.join(text.split())[:200]}"
                    if answer.status in _NEVER_ACCEPTED:
                        raise Rejected(said, status=answer.status)
                    raise Unanswered(said)
                if (answer.content_length or 0) > MAX_ANSWER_BYTES:
                    raise Unanswered(
                        f"{url} answered {answer.content_length} bytes; at most {MAX_ANSWER_BYTES} are read"
                    )
                return decoder.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unanswered(f"{url}: {type(error).__name__}: {error}") from error
        except msgspec.MsgspecError as error:
            raise Unanswered(
                f"{url} answered what is not of this protocol: {error}; is it the execution API?"
            ) from error
