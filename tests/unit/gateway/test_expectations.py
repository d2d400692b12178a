"""What an operator is told of the money before anything is spent."""

from __future__ import annotations

from holdfast.gateway.core.expectations import budgets, expectations
from holdfast.gateway.core.settings import (
    DeploymentSettings,
    GatewaySettings,
    LimitSettings,
    LimitsSettings,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
)
from holdfast.gateway.core.usage import Price


def settings(**fields: object) -> GatewaySettings:
    deployment = DeploymentSettings(provider="mine", model="m", **fields)  # type: ignore[arg-type]
    return GatewaySettings(
        providers={"mine": ProviderSettings(protocol="openai", url="http://127.0.0.1:1/v1", auth="none")},
        models={"fast": ModelSettings(deployments=(deployment,))},
    )


def test_a_configured_price_bounds_what_an_attempt_can_cost() -> None:
    told = settings(price=PriceSettings(input=1.0, output=2.0), context=100_000, max_output=10_000)
    [found] = expectations(told, lambda _: None)
    assert found.worst_nano == 90_000 * 1000 + 10_000 * 2000
    assert found.sentence() == "at most $0.11 an attempt (price: configuration)"


def test_a_known_price_is_told_with_its_source() -> None:
    price = Price(input=10**9, output=10**9, source="genai-prices 1 mine/m")
    [found] = expectations(settings(context=1000, max_output=100), lambda _: price)
    assert found.record()["price"] == "genai-prices 1 mine/m"
    assert found.worst_nano == 1_000_000


def test_what_nobody_knows_is_said() -> None:
    [found] = expectations(settings(context=1000, max_output=100), lambda _: None)
    assert found.sentence().startswith("nobody knows its price")
    [found] = expectations(settings(price=PriceSettings(input=1.0, output=2.0)), lambda _: None)
    assert found.sentence().startswith("an attempt may cost anything")


def test_the_budgets_of_the_file_are_listed() -> None:
    limits = LimitsSettings(
        default=LimitSettings(daily_usd=5), teams={"acme/search": LimitSettings(daily_usd=10, monthly_usd=200)}
    )
    assert budgets(GatewaySettings(limits=limits)) == [
        "each key without limits of its own: $5 a day",
        "team acme/search: $10 a day, $200 a month",
    ]
