"""The data of genai-prices, as it is installed."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys

import pytest

from holdfast.gateway.core.prices import Catalogue
from holdfast.gateway.shell.ledger import read_catalogue

pytestmark = pytest.mark.anyio


@pytest.fixture
async def catalogue() -> Catalogue:
    if importlib.util.find_spec("genai_prices") is None:
        pytest.fail("genai-prices is not installed; run scripts/setup dev")
    found = await read_catalogue()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("openai", "text-embedding-3-small"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("google", "gemini-2.5-pro"),
        ("azure", "gpt-4o"),
        ("aws", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("groq", "llama-3.3-70b-versatile"),
    ],
)
async def test_well_known_models_have_a_price(catalogue: Catalogue, provider: str, model: str) -> None:
    tariff = catalogue.tariff(provider, model)
    assert tariff is not None
    price = tariff.at(1_795_350_000.0)
    assert 0 < price.input < 100_000_000_000
    assert price.source.startswith(f"genai-prices {catalogue.version} ")


@pytest.mark.usefixtures("catalogue")
async def test_reading_them_imports_nothing_heavy() -> None:
    program = """
import asyncio, sys
from holdfast.gateway.shell.ledger import read_catalogue
assert asyncio.run(read_catalogue()) is not None
heavy = {"pydantic", "httpx", "genai_prices"} & set(sys.modules)
assert not heavy, heavy
"""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stderr=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)}
    )
    _, said = await child.communicate()
    assert child.returncode == 0, said.decode()
