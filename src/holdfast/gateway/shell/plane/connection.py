"""A connection from a client of the gateway: the proxy's, but what it begins are calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from holdfast.gateway.shell.plane.call import Call
from holdfast.proxy.client import ClientConnection

if TYPE_CHECKING:
    from holdfast.gateway.shell.plane.engine import GatewayEngine
    from holdfast.http1 import Request
    from holdfast.proxy.exchange import Exchange


class GatewayConnection(ClientConnection):
    """One client. Framing, limits, pipelining, lingering and time limits are the proxy's."""

    __slots__ = ("gateway",)

    def __init__(self, engine: GatewayEngine, **options: Any) -> None:
        super().__init__(engine, **options)
        self.gateway = engine

    def resume_writing(self) -> None:
        """The client caught up."""
        super().resume_writing()
        call = cast("Call | None", self.exchange)
        if call is not None and call.on_drained is not None:
            call.on_drained()

    def hang_up(self) -> None:
        """Close after an answer while the client still sends."""
        self._close_softly()

    def _begin(self, request: Request) -> None:
        engine = self.gateway
        engine.requests += 1
        self.since = engine.clock()
        # A call has what the connection asks of an exchange.
        call = Call(self, request, engine.requests)
        if not call.done:
            self.exchange = cast("Exchange", call)
