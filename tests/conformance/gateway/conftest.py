"""The gateway that real clients meet."""

from tests.conformance.gateway.stack import stack

__all__ = ["stack"]
