"""Fixtures of the balancer's integration tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.balancer.harness import start_master


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``async with start(settings) as running``: a master with stub workers."""
    log = tmp_path / "stub.log"
    monkeypatch.setenv("STUB_LOG", str(log))
    return partial(start_master, log)
