"""What stands behind the names that clients use: a model at a provider, with what it can do.

The settings list deployments per model; the same one may answer to several names. What is about the thing itself
(health, limits, price) belongs to the :class:`Deployment`, of which there is one; what is about the name (its tier)
stays with the model (:func:`tiers_of`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from holdfast.gateway.core.settings import (
    DeploymentSettings,
    GatewaySettings,
    HedgeSettings,
    ModelSettings,
    PriceSettings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from holdfast.gateway.core.ports import Need


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is publicly known of a family of models. ``None``: not known."""

    context: int | None = None
    """Tokens of input and output together."""
    max_output: int | None = None
    tools: bool = True
    vision: bool = True
    json_schema: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A model at a provider, as configured and with what is known of it filled in."""

    name: str
    """``PROVIDER/MODEL``; with ``#2`` and so on where the same pair is configured in several ways."""
    provider: str
    model: str
    """The provider's own name of it."""
    weight: float = 1.0
    context: int | None = None
    """Tokens that fit in; ``None``: unknown, and then everything is let through."""
    max_output: int | None = None
    tools: bool = True
    vision: bool = True
    json_schema: bool = True
    price: PriceSettings | None = None
    bytes_per_token: float | None = None
    tokens_in_flight: int = 2_000_000
    first_token_timeout_s: float | None = None
    hedge: HedgeSettings = field(default_factory=HedgeSettings)
    """Of the first model with hedging that it answers to; decides when a hedge may follow."""
    implied: bool = False
    """Whether a client named it as ``PROVIDER/MODEL`` and no configuration does."""

    def unsuited(self, need: Need) -> str | None:
        """Why it cannot do what is asked, in words; ``None`` when it can, as far as anybody knows."""
        if need.tools and not self.tools:
            return "has no tools"
        if need.vision and not self.vision:
            return "cannot read images"
        if need.json_schema and not self.json_schema:
            return "has no JSON Schema output"
        if self.max_output is not None and need.max_output is not None and need.max_output > self.max_output:
            return f"writes at most {self.max_output} tokens, {need.max_output} are asked for"
        if self.context is not None:
            asked = need.input_tokens + (need.max_output or 0)
            if asked > self.context:
                return f"holds {self.context} tokens, about {asked} are asked for"
        return None


_FAMILIES: Final[tuple[tuple[str, Known], ...]] = (
    # Published limits of the providers' model pages. The longest prefix wins, so that a family may have exceptions.
    ("gpt-5", Known(context=400_000, max_output=128_000)),
    ("gpt-4.1", Known(context=1_047_576, max_output=32_768)),
    ("gpt-4o", Known(context=128_000, max_output=16_384)),
    ("gpt-4-turbo", Known(context=128_000, max_output=4_096, json_schema=False)),
    ("gpt-4", Known(context=8_192, max_output=8_192, vision=False, json_schema=False)),
    ("gpt-3.5-turbo", Known(context=16_385, max_output=4_096, vision=False, json_schema=False)),
    ("o1", Known(context=200_000, max_output=100_000)),
    ("o3", Known(context=200_000, max_output=100_000)),
    ("o4-mini", Known(context=200_000, max_output=100_000)),
    ("claude-opus-4", Known(context=200_000, max_output=32_000)),
    ("claude-sonnet-4", Known(context=200_000, max_output=64_000)),
    ("claude-haiku-4", Known(context=200_000, max_output=64_000)),
    ("claude-3-7-sonnet", Known(context=200_000, max_output=64_000)),
    ("claude-3-5", Known(context=200_000, max_output=8_192)),
    ("claude-3-", Known(context=200_000, max_output=4_096)),
    ("gemini-2.5", Known(context=1_114_112, max_output=65_536)),  # 1,048,576 in and 65,536 out
    ("gemini-2.0", Known(context=1_056_768, max_output=8_192)),
    ("gemini-1.5-pro", Known(context=2_105_344, max_output=8_192)),
    ("gemini-1.5", Known(context=1_056_768, max_output=8_192)),
    ("text-embedding-3", Known(context=8_191)),
    ("text-embedding-ada", Known(context=8_191)),
)
_VENDOR: Final = re.compile(r"^(?:(?:us|eu|apac|global)\.)?(?:[a-z0-9-]+\.)(?=[a-z])|^models/|^.*/")
"""What stands before the name itself: Bedrock's ``us.anthropic.``, Gemini's ``models/``, OpenRouter's ``openai/``."""


def known(model: str) -> Known:
    """What is known of a model by its name; nothing for a stranger."""
    bare = model if model.startswith(("gpt-", "gemini-")) else _VENDOR.sub("", model, count=1)
    best = Known()
    longest = 0
    for prefix, facts in _FAMILIES:
        if len(prefix) > longest and bare.startswith(prefix):
            best, longest = facts, len(prefix)
    return best


def deployments_of(settings: GatewaySettings) -> dict[str, Deployment]:
    """Every deployment that the configuration names, by its name: of models, canaries, shadows and providers.

    Two entries are the same deployment when they differ in their tier at most.
    """
    return _build(settings)[0]


def tiers_of(settings: GatewaySettings) -> dict[str, tuple[tuple[str, ...], ...]]:
    """For each model its deployments' names by tier, lowest tier first. Without canary, shadow and fallbacks."""
    names = _build(settings)[1]
    result: dict[str, tuple[tuple[str, ...], ...]] = {}
    for model, entry in settings.models.items():
        tiers: dict[int, list[str]] = {}
        for deployment in entry.deployments:
            tier = tiers.setdefault(deployment.tier, [])
            name = names[_identity(deployment)]
            if name not in tier:
                tier.append(name)
        result[model] = tuple(tuple(tiers[number]) for number in sorted(tiers))
    return result


def name_of(settings: GatewaySettings, deployment: DeploymentSettings) -> str:
    """Name of a deployment of these settings (such as a canary's). ``KeyError`` when it is not among them."""
    return _build(settings)[1][_identity(deployment)]


def implied(provider: str, model: str) -> Deployment:
    """The deployment that a client means by ``PROVIDER/MODEL`` when no configuration names it."""
    return replace(_resolve(f"{provider}/{model}", DeploymentSettings(provider=provider, model=model)), implied=True)


def _build(settings: GatewaySettings) -> tuple[dict[str, Deployment], dict[DeploymentSettings, str]]:
    deployments: dict[str, Deployment] = {}
    names: dict[DeploymentSettings, str] = {}
    for entry, hedge in _entries(settings):
        identity = _identity(entry)
        name = names.get(identity)
        if name is None:
            name = names[identity] = _free(f"{entry.provider}/{entry.model}", deployments)
            deployments[name] = replace(_resolve(name, entry), hedge=hedge)
        elif hedge.enabled and not deployments[name].hedge.enabled:
            deployments[name] = replace(deployments[name], hedge=hedge)
    return deployments, names


def _entries(settings: GatewaySettings) -> Iterator[tuple[DeploymentSettings, HedgeSettings]]:
    for model in settings.models.values():
        for deployment in model.deployments:
            yield deployment, model.hedge
    for model in settings.models.values():
        yield from ((extra, HedgeSettings()) for extra in _aside(model))
    configured = {(d.provider, d.model) for m in settings.models.values() for d in (*m.deployments, *_aside(m))}
    for provider, entry in settings.providers.items():
        for name in entry.models or ():
            if (provider, name) not in configured:  # else PROVIDER/MODEL means the one that is configured
                yield DeploymentSettings(provider=provider, model=name), HedgeSettings()


def _aside(model: ModelSettings) -> tuple[DeploymentSettings, ...]:
    return tuple(extra.deployment for extra in (model.canary, model.shadow) if extra is not None)


def _identity(entry: DeploymentSettings) -> DeploymentSettings:
    """What tells deployments apart: all but the tier, which is about the model that lists it."""
    return DeploymentSettings(**{name: getattr(entry, name) for name in entry.__struct_fields__ if name != "tier"})


def _free(name: str, taken: Mapping[str, Deployment]) -> str:
    number = 2
    free = name
    while free in taken:
        free = f"{name}#{number}"
        number += 1
    return free


def _resolve(name: str, entry: DeploymentSettings) -> Deployment:
    facts = known(entry.model)
    timeout = entry.first_token_timeout
    return Deployment(
        name=name,
        provider=entry.provider,
        model=entry.model,
        weight=float(entry.weight),
        context=entry.context if entry.context is not None else facts.context,
        max_output=entry.max_output if entry.max_output is not None else facts.max_output,
        tools=entry.tools and facts.tools,
        vision=entry.vision and facts.vision,
        json_schema=entry.json_schema and facts.json_schema,
        price=entry.price,
        bytes_per_token=entry.bytes_per_token,
        tokens_in_flight=entry.tokens_in_flight,
        first_token_timeout_s=None if timeout is None else float(timeout),
    )
