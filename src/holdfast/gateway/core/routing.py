"""From the name of a model to the deployments that answer to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from holdfast.gateway.core.settings import GatewaySettings, ModelSettings
from holdfast.gateway.errors import Refused

_PLAIN: Final = re.compile(r"[A-Za-z0-9@][A-Za-z0-9._:/@+-]{0,199}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What answers to a name."""

    model: str
    tiers: tuple[tuple[str, ...], ...]
    """Names of deployments: each tier is tried when none of those before it will do. Fallbacks are the last tiers."""
    own: int
    """How many of the tiers are the model's own; the rest are fallbacks."""
    settings: ModelSettings | None
    """``None``: the model was named by its provider."""


class Routes:
    """All names of one configuration."""

    def __init__(
        self,
        settings: GatewaySettings,
        tiers: Mapping[str, tuple[tuple[str, ...], ...]],
        direct: Callable[[str, str], str | None],
    ) -> None:
        """``tiers``: of each model its own deployments, without fallbacks.

        ``direct`` gives the deployment of a model that a client names as ``PROVIDER/MODEL``; ``None`` refuses it.
        """
        self._settings = settings
        self._direct = direct
        self._tiers = tiers
        self._routes = {name: self._route(name, model) for name, model in settings.models.items()}

    @property
    def models(self) -> tuple[str, ...]:
        """Every name of the file, and the models that providers list, as ``PROVIDER/MODEL``."""
        listed = (
            f"{name}/{model}"
            for name, provider in self._settings.providers.items()
            for model in provider.models or ()
            if "*" not in model
        )
        return (*self._routes, *listed)

    def find(self, model: str) -> Route:
        """The route of a name. Raises :class:`Refused` (``not_found``)."""
        found = self._routes.get(model)
        if found is not None:
            return found
        provider, slash, name = model.partition("/")
        if slash and provider in self._settings.providers and self._may(provider, name):
            deployment = self._direct(provider, name)
            if deployment is not None:
                return Route(model=model, tiers=((deployment,),), own=1, settings=None)
        raise Refused(
            "not_found",
            f"there is no model {model[:100]!r}; GET /v1/models lists those that this key may use",
            param="model",
            code="model_not_found",
        )

    def _may(self, provider: str, name: str) -> bool:
        models = self._settings.providers[provider].models
        # A name becomes part of a path with some providers: it must not lead anywhere else.
        plain = _PLAIN.fullmatch(name) is not None and not {".", ".."}.intersection(name.split("/"))
        return plain and (models is None or any(fnmatchcase(name, pattern) for pattern in models))

    def _route(self, name: str, model: ModelSettings) -> Route:
        tiers: list[tuple[str, ...]] = []
        own = 0
        seen: set[str] = set()
        for each in (name, *model.fallbacks):
            for tier in self._tiers[each]:
                fresh = tuple(deployment for deployment in tier if deployment not in seen)
                seen.update(fresh)
                if fresh:
                    tiers.append(fresh)
            own = own or len(tiers)
        return Route(model=name, tiers=tuple(tiers), own=own, settings=model)
