from __future__ import annotations

from typing import Any

import pytest

from holdfast.gateway.core.deployments import deployments_of, implied, known, name_of, tiers_of
from holdfast.gateway.core.settings import (
    CanarySettings,
    DeploymentSettings,
    GatewaySettings,
    HedgeSettings,
    ModelSettings,
    ProviderSettings,
)
from tests.unit.gateway.fleet_scene import need


def at(provider: str = "openai", model: str = "gpt-4o", **more: Any) -> DeploymentSettings:
    return DeploymentSettings(provider=provider, model=model, **more)


def of(providers: dict[str, ProviderSettings] | None = None, **models: ModelSettings) -> GatewaySettings:
    return GatewaySettings(providers=providers or {"openai": ProviderSettings()}, models=models)


def test_the_same_deployment_of_two_models_is_one() -> None:
    settings = of(fast=ModelSettings(deployments=(at(),)), smart=ModelSettings(deployments=(at(tier=1),)))
    assert list(deployments_of(settings)) == ["openai/gpt-4o"]
    assert tiers_of(settings) == {"fast": (("openai/gpt-4o",),), "smart": (("openai/gpt-4o",),)}


def test_the_same_pair_with_other_settings_is_another_one() -> None:
    small = at(tokens_in_flight=1000)
    settings = of(fast=ModelSettings(deployments=(at(),)), slow=ModelSettings(deployments=(small,)))
    assert list(deployments_of(settings)) == ["openai/gpt-4o", "openai/gpt-4o#2"]
    assert name_of(settings, small) == "openai/gpt-4o#2"
    assert tiers_of(settings)["slow"] == (("openai/gpt-4o#2",),)


def test_tiers_are_in_the_order_of_their_numbers() -> None:
    entries = (at("c", "x", tier=9), at("a", "x"), at("b", "x", tier=3), at("d", "x"))
    assert tiers_of(of(m=ModelSettings(deployments=entries)))["m"] == (("a/x", "d/x"), ("b/x",), ("c/x",))


def test_canaries_and_listed_models_of_providers_are_deployments_and_in_no_tier() -> None:
    candidate = at(model="gpt-5")
    settings = of(
        providers={"openai": ProviderSettings(models=("gpt-4o", "o3"))},
        m=ModelSettings(deployments=(at(),), canary=CanarySettings(deployment=candidate)),
    )
    assert list(deployments_of(settings)) == ["openai/gpt-4o", "openai/gpt-5", "openai/o3"]
    assert tiers_of(settings)["m"] == (("openai/gpt-4o",),)


def test_hedging_is_that_of_the_first_model_that_hedges() -> None:
    hedge = HedgeSettings(enabled=True, quantile=0.9)
    settings = of(a=ModelSettings(deployments=(at(),)), b=ModelSettings(deployments=(at(),), hedge=hedge))
    assert deployments_of(settings)["openai/gpt-4o"].hedge == hedge


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("gpt-4o-mini", 128_000),
        ("gpt-4.1-nano-2025-04-14", 1_047_576),
        ("gpt-4-0613", 8_192),
        ("gpt-3.5-turbo", 16_385),
        ("claude-sonnet-4-5-20250929", 200_000),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", 200_000),
        ("anthropic.claude-3-haiku-20240307-v1:0", 200_000),
        ("models/gemini-2.5-flash", 1_114_112),
        ("gemini-2.0-flash", 1_056_768),
        ("openai/gpt-4o", 128_000),
        ("llama-3.1-8b", None),
    ],
)
def test_a_known_model_has_its_context(name: str, context: int | None) -> None:
    assert known(name).context == context


def test_configuration_overrides_what_is_known() -> None:
    settings = of(m=ModelSettings(deployments=(at(context=5, max_output=2, tools=False),)))
    deployment = deployments_of(settings)["openai/gpt-4o"]
    assert (deployment.context, deployment.max_output, deployment.tools) == (5, 2, False)


def test_what_a_model_is_known_not_to_do_is_not_asked_of_it() -> None:
    assert implied("openai", "gpt-3.5-turbo").unsuited(need(vision=True)) == "cannot read images"
    assert implied("openai", "gpt-3.5-turbo").unsuited(need(json_schema=True)) == "has no JSON Schema output"
    assert implied("openai", "gpt-4o").unsuited(need(vision=True, tools=True, json_schema=True)) is None


def test_input_and_output_together_have_to_fit() -> None:
    deployment = implied("openai", "gpt-4-0613")
    assert deployment.unsuited(need(input_tokens=6000, max_output=2192)) is None
    assert deployment.unsuited(need(input_tokens=6001, max_output=2192)) is not None
    assert deployment.unsuited(need(max_output=8193)) == "writes at most 8192 tokens, 8193 are asked for"
