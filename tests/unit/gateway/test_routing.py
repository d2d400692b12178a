"""From names to deployments."""

from __future__ import annotations

import pytest

from holdfast.gateway.core.deployments import tiers_of
from holdfast.gateway.core.routing import Routes
from holdfast.gateway.core.settings import DeploymentSettings, GatewaySettings, ModelSettings, ProviderSettings
from holdfast.gateway.errors import Refused


def deployment(provider: str, model: str, tier: int = 0) -> DeploymentSettings:
    return DeploymentSettings(provider=provider, model=model, tier=tier)


def routes(models: dict[str, ModelSettings], **providers: ProviderSettings) -> Routes:
    known = {"a": ProviderSettings(), "b": ProviderSettings(models=("small*",)), **providers}
    settings = GatewaySettings(providers=known, models=models)
    return Routes(settings, tiers_of(settings), lambda provider, model: f"{provider}/{model}")


def test_tiers_come_in_their_order_and_fallbacks_behind_them() -> None:
    found = routes(
        {
            "fast": ModelSettings(
                deployments=(deployment("a", "x", 1), deployment("b", "x"), deployment("a", "y")), fallbacks=("slow",)
            ),
            "slow": ModelSettings(deployments=(deployment("a", "z"), deployment("b", "x"))),
        }
    ).find("fast")
    assert found.tiers == (("b/x", "a/y"), ("a/x",), ("a/z",))
    assert found.own == 2


def test_a_model_may_be_named_by_its_provider() -> None:
    found = routes({}).find("a/any/thing")
    assert found.tiers == (("a/any/thing",),)
    assert found.settings is None


@pytest.mark.parametrize(
    "name", ["nope", "c/x", "a/", "b/large", "/x", "", "a/../x", "a/x/./y", "a/x?y", "a/x y", "a/x\n", "a/x#y"]
)
def test_what_nobody_has_is_not_found(name: str) -> None:
    with pytest.raises(Refused) as caught:
        routes({}).find(name)
    assert caught.value.reason == "not_found"
    assert caught.value.param == "model"


def test_patterns_of_a_provider_let_through_what_they_match() -> None:
    assert routes({}).find("b/small-1").tiers == (("b/small-1",),)


def test_the_list_has_the_names_of_the_file_and_the_models_that_providers_name() -> None:
    found = routes(
        {"fast": ModelSettings(deployments=(deployment("a", "x"),))}, c=ProviderSettings(models=("m1", "m*"))
    )
    assert found.models == ("fast", "c/m1")
