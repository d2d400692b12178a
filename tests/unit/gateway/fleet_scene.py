"""Fleets for tests: a provider per letter, one model ``m`` over all of them."""

from __future__ import annotations

from random import Random
from typing import Any

from holdfast.gateway.core.deployments import deployments_of, tiers_of
from holdfast.gateway.core.fleet import DeploymentFleet
from holdfast.gateway.core.ports import Chosen, Need
from holdfast.gateway.core.settings import (
    DeploymentSettings,
    GatewaySettings,
    ModelSettings,
    ProviderSettings,
)


def need(tokens: int = 100, **more: Any) -> Need:
    return Need(tokens=tokens, input_tokens=more.pop("input_tokens", tokens // 2), **more)


def settings(
    *deployments: DeploymentSettings | str, model: dict[str, Any] | None = None, **more: Any
) -> GatewaySettings:
    entries = tuple(
        DeploymentSettings(provider=entry, model="x") if isinstance(entry, str) else entry for entry in deployments
    )
    providers = more.pop("providers", {entry.provider: ProviderSettings() for entry in entries})
    models = {"m": ModelSettings(deployments=entries, **(model or {}))}
    return GatewaySettings(providers=providers, models=models, **more)


class Scene:
    """A fleet and its clock."""

    def __init__(self, *deployments: DeploymentSettings | str, seed: int = 1, **more: Any) -> None:
        self.settings = settings(*deployments, **more)
        self.now = 0.0
        self.fleet = DeploymentFleet(self.settings, deployments_of(self.settings), now=self.now, rng=Random(seed))
        self.tiers = tiers_of(self.settings)["m"]
        self.changes: list[Any] = []

    def choose(self, asked: Need | None = None, *, tried: tuple[str, ...] = ()) -> Any:
        return self.fleet.choose(self.tiers, asked or need(), tried=tried, now=self.now)

    def place(self, asked: Need | None = None, *, tried: tuple[str, ...] = ()) -> str:
        chosen = self.choose(asked, tried=tried)
        assert isinstance(chosen, Chosen), chosen
        return chosen.deployment

    def pass_time(self, seconds: float, step: float = 0.1) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(end, self.now + step)
            self.changes += self.fleet.tick(self.now)

    def attempt(self, deployment: str, failure: Any = None, *, took: float = 0.0, **more: Any) -> None:
        retry_after_s = more.pop("retry_after_s", None)
        ticket = self.fleet.began(deployment, more.pop("need", need()), now=self.now, **more)
        self.now += took
        if failure is None:
            self.fleet.first_token(ticket, now=self.now)
            self.fleet.succeeded(ticket, now=self.now, usage=None)
        else:
            self.fleet.failed(ticket, failure, now=self.now, retry_after_s=retry_after_s)

    def break_down(self, deployment: str, failure: str = "server_error") -> None:
        """Fail until its breaker opens, while the others answer."""
        for _ in range(30):
            for name in self.fleet.deployments:
                if name != deployment and self.state(name) in {"up", "ramping"}:
                    self.attempt(name)
            self.attempt(deployment, failure)
            self.pass_time(0.2)
            if self.state(deployment) == "open":
                return
        raise AssertionError(f"{deployment} is {self.state(deployment)}")

    def state(self, deployment: str) -> str:
        return str(self.fleet.explain(deployment, self.now)["state"])
