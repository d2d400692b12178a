"""The AI gateway: one endpoint, many providers, no surprises on the bill."""

from holdfast.gateway.core.settings import GatewaySettings, MockSettings
from holdfast.gateway.core.validate import validate
from holdfast.gateway.shell.services import serve, serve_mock

__all__ = ["GatewaySettings", "MockSettings", "serve", "serve_mock", "validate"]
