"""Tools that models and clients may call: the broker, and the kinds of tools that it knows."""

from holdfast.gateway.shell.tools.api import tool_router
from holdfast.gateway.shell.tools.broker import Broker

__all__ = ["Broker", "tool_router"]
