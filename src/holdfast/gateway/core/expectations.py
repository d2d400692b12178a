"""What an operator may expect of the money: which prices are known, and what one request may cost at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.gateway.core.deployments import deployments_of, tiers_of
from holdfast.gateway.core.money import configured, usd, worst_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.gateway.core.deployments import Deployment
    from holdfast.gateway.core.settings import GatewaySettings
    from holdfast.gateway.core.usage import Price

    Known = Callable[[Deployment], Price | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Of one deployment of a model."""

    model: str
    deployment: str
    source: str | None
    """Where its price is from; ``None``: nobody knows it."""
    worst_nano: int | None
    """The most that one attempt can cost: its whole context read, as much as fits written. ``None`` where the price,
    the context or the longest answer is not known."""

    def sentence(self) -> str:
        """``at most $0.12 an attempt (price: configuration)``."""
        if self.source is None:
            return "nobody knows its price: keys with a budget are refused; set price"
        if self.worst_nano is None:
            return f"an attempt may cost anything: set context and max_output (price: {self.source})"
        return f"at most {usd(self.worst_nano)} an attempt (price: {self.source})"

    def record(self) -> dict[str, Any]:
        """For machines."""
        return {
            "model": self.model,
            "deployment": self.deployment,
            "price": self.source,
            "worst_case_nano": self.worst_nano,
        }


def expectations(settings: GatewaySettings, known: Known) -> list[Expectation]:
    """Of every deployment of every model of a sound section; ``known`` gives prices that no file sets."""
    deployments = deployments_of(settings)
    return [
        _expected(model, deployments[name], known)
        for model, tiers in tiers_of(settings).items()
        for tier in tiers
        for name in tier
    ]


def budgets(settings: GatewaySettings) -> list[str]:
    """The budgets of the file, in words."""
    limits = settings.limits
    scopes = {
        "each key without limits of its own": limits.default,
        **{f"tenant {name}": each for name, each in limits.tenants.items()},
        **{f"team {name}": each for name, each in limits.teams.items()},
        **{f"user {name}": each for name, each in limits.users.items()},
    }
    if settings.anonymous is not None:
        scopes["whoever has no key"] = settings.anonymous.limit
    found = []
    for scope, limit in scopes.items():
        parts = [
            f"${amount:g} a {period}"
            for amount, period in ((limit.daily_usd, "day"), (limit.monthly_usd, "month"))
            if amount is not None
        ]
        if parts:
            found.append(f"{scope}: {', '.join(parts)}")
    return found


def _expected(model: str, deployment: Deployment, known: Known) -> Expectation:
    price = known(deployment) if deployment.price is None else configured(deployment.price)
    context, out = deployment.context, deployment.max_output
    worst = None
    if price is not None and context is not None and out is not None:
        worst = worst_case(max(0, context - out), out, price)
    return Expectation(
        model=model,
        deployment=deployment.name,
        source=None if price is None else price.source,
        worst_nano=worst,
    )
