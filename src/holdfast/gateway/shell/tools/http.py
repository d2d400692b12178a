"""A tool behind an address: POST with the arguments as JSON, and the answer is the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from holdfast.gateway.core.tools import RESULT_BYTES, Result
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.tools.addresses import PrivateAddressError
from holdfast.gateway.shell.tools.network import Network, read_at_most

if TYPE_CHECKING:
    from holdfast.gateway.core.settings import HttpToolSettings
    from holdfast.identity import Principal

_ERROR_CHARACTERS: Final = 4096
"""That a model is told of an answer that is an error: enough to mend its arguments by."""


class HttpTool:
    """Calls it. Cancelling a call closes its connection, which is how the other side hears of it."""

    def __init__(self, settings: HttpToolSettings, network: Network) -> None:
        self._settings = settings
        self._network = network

    async def call(self, arguments: str, caller: Principal) -> Result:
        """The answer. What the tool refuses (4xx) is a result that says so; raises :class:`Refused` when it fails."""
        client = self._network.client(self._settings.url, private=self._settings.private)
        headers = {"Accept": "application/json", **self._settings.headers, "Content-Type": "application/json"}
        try:
            async with client.post(
                self._settings.url, data=arguments.encode(), headers=headers, allow_redirects=False
            ) as answer:
                text = (await read_at_most(answer, RESULT_BYTES)).decode("utf-8", "replace")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Refused("upstream_failed", _why(error), retryable=True) from error
        if 200 <= answer.status < 300:
            return Result(text=text, is_json=_is_json(text))
        if 400 <= answer.status < 500 and answer.status not in (401, 403, 407, 429):
            return Result(text=f"HTTP {answer.status}: {text[:_ERROR_CHARACTERS]}", is_error=True, is_json=False)
        # Its redirects, its trouble and what it thinks of our credentials are for the operator, not for a model.
        raise Refused(
            "upstream_failed", f"the tool answered with status {answer.status}", retryable=answer.status >= 429
        )


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _why(error: BaseException) -> str:
    """What went wrong, without addresses of the inside."""
    cause = getattr(error, "os_error", None) or error
    if isinstance(cause, PrivateAddressError):
        return "the tool's name leads to an address that is not public"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the tool's name does not resolve"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the tool's certificate is not valid for its name"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "the tool takes no connection"
    return "the connection to the tool broke, or what it answered is not HTTP"
