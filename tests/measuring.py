"""Where coverage costs more than it says."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import coverage
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def leave_children_unmeasured() -> None:
    """Of this process: being measured doubles their CPU time, and two cores are what the suite runs on.

    ``MEASURE_CHILDREN=1 make check`` measures them too, when what a process of its own covers is the question.
    """
    if not os.environ.get("MEASURE_CHILDREN"):
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.fixture
def at_full_speed() -> Iterator[None]:
    """For a test that simulates years, or measures: coverage makes it take two and a half times as long."""
    with unmeasured():
        yield


@contextlib.contextmanager
def unmeasured() -> Iterator[None]:
    """What runs in this process meanwhile is not measured; without coverage nothing happens."""
    measuring = coverage.Coverage.current()
    if measuring is None:
        yield
        return
    measuring.stop()
    try:
        yield
    finally:
        measuring.start()
