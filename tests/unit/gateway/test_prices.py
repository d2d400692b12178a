"""Prices: which entry a name means, and which price holds when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from holdfast.gateway.core.prices import Catalogue, Tariff, matches
from holdfast.gateway.core.settings import PriceSettings
from holdfast.gateway.core.usage import Price
from holdfast.gateway.shell.ledger import Offer, PriceList

PROVIDERS: list[dict[str, Any]] = [
    {
        "id": "openai",
        "provider_match": {"contains": "openai"},
        "models": [
            {
                "id": "gpt-4o",
                "match": {"or": [{"equals": "gpt-4o"}, {"starts_with": "gpt-4o-2024"}]},
                "prices": [
                    {"prices": {"input_mtok": "5", "output_mtok": "15"}},
                    {
                        "constraint": {"start_date": "2024-10-02"},
                        "prices": {"input_mtok": "2.5", "output_mtok": "10", "cache_read_mtok": "1.25"},
                    },
                ],
            },
            {"id": "whisper", "match": {"equals": "whisper-1"}, "prices": {"audio_hours": "0.36"}},
            {"id": "dated", "match": {"regex": r"^dated-\d{4}-\d\d-\d\d$"}, "prices": {"input_mtok": "1"}},
            {"id": "search", "match": {"equals": "search"}, "prices": {"web_searches_kcount": "10"}},
        ],
    },
    {"id": "azure", "fallback_model_providers": ["openai"], "models": []},
    {
        "id": "google",
        "models": [
            {
                "id": "gemini-pro",
                "match": {"starts_with": "gemini-pro"},
                "prices": {
                    "input_mtok": {"base": "1.25", "tiers": [{"start": 200000, "price": "2.5"}]},
                    "output_mtok": {"base": "10", "tiers": [{"start": 200000, "price": "15"}]},
                },
            },
        ],
    },
    {
        "id": "deepseek",
        "models": [
            {
                "id": "chat",
                "match": {"equals": "chat"},
                "prices": [
                    {"prices": {"input_mtok": "2"}},
                    {"constraint": {"start_time": "16:30:00Z", "end_time": "00:30:00Z"}, "prices": {"input_mtok": "1"}},
                ],
            },
        ],
    },
]
CATALOGUE = Catalogue(msgspec.json.encode(PROVIDERS), "9.9")


def at(provider: str, model: str, text: str = "2026-11-22T12:00:00") -> Price | None:
    tariff = CATALOGUE.tariff(provider, model)
    return None if tariff is None else tariff.at(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_a_price_holds_from_its_day_on() -> None:
    old, new = at("openai", "gpt-4o", "2024-10-01T23:59:59"), at("openai", "GPT-4o-2024-11-20", "2024-10-02")
    assert old is not None
    assert new is not None
    assert (old.input, new.input, new.cache_read) == (5_000_000_000, 2_500_000_000, 1_250_000_000)
    assert new.source == "genai-prices 9.9 openai/gpt-4o"


@pytest.mark.parametrize(("clock", "dollars"), [("16:29", 2), ("16:30", 1), ("00:29", 1), ("00:30", 2)])
def test_a_price_of_the_night_goes_over_midnight(clock: str, dollars: int) -> None:
    price = at("deepseek", "chat", f"2026-11-22T{clock}")
    assert price is not None
    assert price.input == dollars * 1_000_000_000


def test_a_tier_begins_behind_where_it_starts() -> None:
    price = at("google", "gemini-pro-latest")
    assert price is not None
    assert price.long is not None
    assert (price.input, price.above, price.long.input, price.long.output) == (
        1_250_000_000,
        200_001,
        2_500_000_000,
        15_000_000_000,
    )


def test_a_provider_that_sells_the_models_of_another_has_its_prices() -> None:
    price = at("azure", "gpt-4o")
    assert price is not None
    assert price.source.endswith("azure/gpt-4o")


def test_a_date_without_dashes_is_read_with_them() -> None:
    assert at("openai", "dated-20251211") is not None


def test_sound_by_the_hour_is_a_price_by_the_second() -> None:
    price = at("openai", "whisper-1")
    assert price is not None
    assert price.per_second == 100_000


@pytest.mark.parametrize(("provider", "model"), [("nobody", "gpt-4o"), ("openai", "gpt-5000"), ("openai", "search")])
def test_what_nobody_knows_has_no_price(provider: str, model: str) -> None:
    assert at(provider, model) is None


def test_a_rule_of_a_newer_package_matches_nothing() -> None:
    assert not matches({"sounds_like": "gpt"}, "gpt")


def test_a_configured_price_comes_first_and_an_unknown_one_is_said(caplog: pytest.LogCaptureFixture) -> None:
    prices = PriceList(CATALOGUE)
    prices.load(
        {
            "a": Offer(provider="openai", model="gpt-4o", price=PriceSettings(input=1.0, output=1.0)),
            "b": Offer(provider="mock", model="m", setting="gateway.models.m.deployments[0].price"),
        }
    )
    assert prices.at("a", 0.0) == Tariff.fixed(Price(input=1_000_000_000, output=1_000_000_000)).at(0.0)
    assert prices.at("b", 0.0) is None
    assert len(caplog.records) == 1
    assert "set gateway.models.m.deployments[0].price" in caplog.text
