"""Coroutine tests, as for the proxy."""

from tests.integration.proxy.conftest import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
