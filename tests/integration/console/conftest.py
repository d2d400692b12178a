"""Coroutine tests, as for the proxy; services that share the process may take their time."""

import pytest

from holdfast.console import service
from tests.integration.proxy.conftest import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine two seconds without a step of the loop are no fault of the console."""
    monkeypatch.setattr(service, "CONNECT_S", 30.0)
    monkeypatch.setattr(service, "ANSWER_S", 60.0)
