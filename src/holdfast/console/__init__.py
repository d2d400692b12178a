"""The web UI: pages rendered on the server over the HTTP interfaces of the services."""

from holdfast.console.errors import AddressError, ConsoleError
from holdfast.console.serve import serve
from holdfast.console.settings import ConsoleSettings, validate

__all__ = ["AddressError", "ConsoleError", "ConsoleSettings", "serve", "validate"]
