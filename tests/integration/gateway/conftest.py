"""Coroutine tests run in an event loop of their own, the one that production uses."""

from tests.integration.proxy.conftest import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
