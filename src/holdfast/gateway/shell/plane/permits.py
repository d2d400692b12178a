"""What a holder may do, and what it has left: limits of the file and of its key, and rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.gateway.core.limits import Limits, LimitTable, allows, priority
from holdfast.gateway.core.ports import Holder

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.gateway.core.settings import GatewaySettings, LimitSettings, Priority
    from holdfast.identity import Principal

ANONYMOUS: Final = "anonymous"


class Permits:
    """``key`` gives the limits that a key has of its own; ``place`` its team and user."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        key: Callable[[str], LimitSettings | None] = lambda _: None,
        place: Callable[[str], tuple[str | None, str | None]] = lambda _: (None, None),
    ) -> None:
        self._key = key
        self._place = place
        self._rates = Limits()
        self.table: LimitTable
        self.reconfigure(settings)

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Take other limits; rates go on."""
        nobody = settings.anonymous.limit if settings.anonymous is not None else None
        self.table = LimitTable(settings.limits, lambda key_id: nobody if key_id == ANONYMOUS else self._key(key_id))

    def holder(self, principal: Principal, tags: tuple[str, ...]) -> Holder:
        """Who pays for a request with this key."""
        team, user = self._place(principal.key_id)
        return Holder(tenant=principal.tenant, key_id=principal.key_id, team=team, user=user, tags=tags)

    def allows(self, holder: Holder, model: str) -> bool:
        """Whether a model may be used."""
        return allows(self.table.chain(holder), model) is None

    def take(self, holder: Holder, tokens: int, now: float) -> float:
        """Count a request and its estimated tokens; else the seconds until that is possible."""
        return self._rates.take(self.table.chain(holder), tokens, now)

    def priority(self, holder: Holder) -> Priority:
        """Whether it waits behind others."""
        return priority(self.table.chain(holder))
