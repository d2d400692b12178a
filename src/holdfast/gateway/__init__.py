"""The AI gateway: one endpoint, many providers, no surprises on the bill."""

from holdfast.gateway.core.expectations import Expectation, budgets
from holdfast.gateway.core.settings import GatewaySettings, MockSettings
from holdfast.gateway.core.validate import validate
from holdfast.gateway.shell.services import expected, serve, serve_mock

__all__ = ["Expectation", "GatewaySettings", "MockSettings", "budgets", "expected", "serve", "serve_mock", "validate"]
