"""Property tests are not measured: what a hundred examples of a test cover, the first of them covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import measuring

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def unmeasured() -> Iterator[None]:
    """Coverage costs such a test two thirds of its time, and every line has a test of its own in ``tests/unit``."""
    with measuring.unmeasured():
        yield
