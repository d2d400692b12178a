"""Coroutine tests run in an event loop of their own, the one that production uses."""

from __future__ import annotations

import pytest

from tests.integration.proxy import conftest as proxy


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """As the proxy's tests; those that are marked ``anyio`` share a loop with their fixtures."""
    if pyfuncitem.get_closest_marker("anyio") is not None:
        return None
    return proxy.pytest_pyfunc_call(pyfuncitem)
