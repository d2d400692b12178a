"""What is wrong with a gateway section is said with its path and its remedy."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.gateway.core.settings import (
    AnonymousSettings,
    CanarySettings,
    DeploymentSettings,
    GatewaySettings,
    GuardSettings,
    HealthSettings,
    HttpToolSettings,
    LimitSettings,
    LimitsSettings,
    McpSettings,
    ModelSettings,
    ProviderSettings,
    RetrySettings,
    ToolSettings,
)
from holdfast.gateway.core.validate import RANGES, is_loopback, validate
from holdfast.kernel import Duration

OPENAI = {"openai": ProviderSettings(key="sk-x")}
DEPLOYMENT = DeploymentSettings(provider="openai", model="gpt-4o")


def paths(settings: GatewaySettings) -> list[str]:
    found = validate(settings)
    assert all(problem.remedy for problem in found)
    return [".".join(map(str, problem.path)) for problem in found]


def test_a_key_is_all_that_a_known_provider_needs() -> None:
    assert paths(GatewaySettings(providers=OPENAI)) == []


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        (ProviderSettings(), "providers.openai.key"),
        (ProviderSettings(key="x", key_file="y"), "providers.openai.key_file"),
        (ProviderSettings(key="x", url="http://example.com/v1"), "providers.openai.url"),
        (ProviderSettings(key="x", url="https://127.0.0.1/v1"), "providers.openai.url"),
        (ProviderSettings(key="x", url="https://user:pw@example.com/v1"), "providers.openai.url"),
        (ProviderSettings(key="x", url="ftp://example.com"), "providers.openai.url"),
        (ProviderSettings(key="x", auth="sigv4"), "providers.openai.access_key_id"),
        (ProviderSettings(key="x", max_in_flight=0), "providers.openai.max_in_flight"),
    ],
)
def test_providers_that_cannot_be_used(provider: ProviderSettings, path: str) -> None:
    assert path in paths(GatewaySettings(providers={"openai": provider}))


def test_an_unknown_provider_needs_a_protocol_and_an_address() -> None:
    found = paths(GatewaySettings(providers={"mine": ProviderSettings(key="x")}))
    assert found == ["providers.mine.protocol", "providers.mine.url"]


def test_a_region_is_missed_where_the_address_has_one() -> None:
    found = paths(GatewaySettings(providers={"bedrock": ProviderSettings(key="x", access_key_id="y")}))
    assert found == ["providers.bedrock.region"]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (ModelSettings(deployments=()), "models.m.deployments"),
        (
            ModelSettings(deployments=(DeploymentSettings(provider="openai", model="x", weight=0.0),)),
            "models.m.deployments",
        ),
        (
            ModelSettings(deployments=(DeploymentSettings(provider="nobody", model="x"),)),
            "models.m.deployments.0.provider",
        ),
        (ModelSettings(deployments=(DEPLOYMENT,), fallbacks=("other",)), "models.m.fallbacks.0"),
        (ModelSettings(deployments=(DEPLOYMENT,), fallbacks=("m",)), "models.m.fallbacks.0"),
        (ModelSettings(deployments=(DEPLOYMENT,), guardrails="strict"), "models.m.guardrails"),
        (
            ModelSettings(deployments=(DEPLOYMENT,), canary=CanarySettings(deployment=DEPLOYMENT, percent=101)),
            "models.m.canary.percent",
        ),
        (
            ModelSettings(deployments=(DEPLOYMENT,), canary=CanarySettings(deployment=DEPLOYMENT, min_score=0.5)),
            "models.m.canary.min_score",
        ),
        (
            ModelSettings(deployments=(DeploymentSettings(provider="openai", model="x", tier=-1),)),
            "models.m.deployments.0.tier",
        ),
    ],
)
def test_models_that_lead_nowhere(model: ModelSettings, path: str) -> None:
    assert path in paths(GatewaySettings(providers=OPENAI, models={"m": model}))


def test_figures_that_contradict_each_other() -> None:
    settings = GatewaySettings(
        retry=RetrySettings(backoff_base=Duration(2.0), backoff_cap=Duration(1.0)),
        health=HealthSettings(open_min=Duration(10.0), open_max=Duration(5.0)),
    )
    assert paths(settings) == ["retry.backoff_cap", "health.open_max"]


def test_limits_of_teams_and_users_name_their_tenant() -> None:
    limits = LimitsSettings(teams={"red": LimitSettings()}, users={"acme/ann": LimitSettings(daily_usd=-1.0)})
    assert paths(GatewaySettings(limits=limits)) == ["limits.users.acme/ann.daily_usd", "limits.teams.red"]


def test_a_tool_is_one_thing_and_somebody_runs_it() -> None:
    tools = {"a": ToolSettings(description="x"), "b": ToolSettings(description="x", execution=True)}
    assert paths(GatewaySettings(tools=tools, mcp={"c": McpSettings()})) == ["tools.a", "tools.b.execution", "mcp.c"]


def test_a_tool_has_a_name_and_a_schema_that_is_whole() -> None:
    tools = {
        "no name": ToolSettings(description="x", http=HttpToolSettings(url="https://example.com")),
        "b": ToolSettings(
            description="x",
            http=HttpToolSettings(url="https://example.com"),
            input={"properties": {"a": {"$ref": "https://example.org/schema"}}},
        ),
    }
    assert paths(GatewaySettings(tools=tools)) == ["tools.no name", "tools.b.input"]


def test_without_keys_only_this_machine_may_ask() -> None:
    anonymous = AnonymousSettings()
    assert paths(GatewaySettings(anonymous=anonymous)) == []
    assert paths(GatewaySettings(listen="0.0.0.0:8082", anonymous=anonymous)) == ["anonymous"]


@pytest.mark.parametrize(
    ("listen", "answer"),
    [("127.0.0.1:1", True), ("[::1]:1", True), ("localhost:1", True), (":1", False), ("10.0.0.1:1", False)],
)
def test_what_nobody_else_can_reach(listen: str, answer: bool) -> None:
    assert is_loopback(listen) is answer


def test_every_default_is_in_its_range() -> None:
    for section, figures in RANGES.items():
        for name, (low, high) in figures.items():
            default = next(field.default for field in _fields(section) if field.name == name)
            if isinstance(default, (int, float)):
                assert low <= default <= high, (section, name)


def test_a_hold_back_of_a_few_characters_is_refused() -> None:
    found = paths(GatewaySettings(guardrails={"default": GuardSettings(hold_back=1)}))
    assert found == ["guardrails.default.hold_back"]


def _fields(section: type) -> tuple[msgspec.structs.FieldInfo, ...]:

    return msgspec.structs.fields(section)
