"""What tests of programs need: the languages of this machine, looked for once."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.execution.shell.languages import Runtime, detect


@pytest.fixture(scope="session")
def runtimes() -> dict[str, Runtime]:
    """Every language, whether it is here or not."""
    return {runtime.name: runtime for runtime in asyncio.run(detect())}
