"""What a holder may do, and what it has left: limits of the file and of its key, and rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.gateway.core.limits import Limits, LimitTable, allows, priority

if TYPE_CHECKING:
    from holdfast.gateway.core.ports import Holder
    from holdfast.gateway.core.settings import GatewaySettings, Priority
    from holdfast.gateway.shell.ledger import KeyBook
    from holdfast.identity import Principal

ANONYMOUS: Final = "anonymous"


class Permits:
    """Limits of tenants, teams and users are the file's, those of keys are the book's."""

    def __init__(self, settings: GatewaySettings, book: KeyBook) -> None:
        self.book = book
        self._rates = Limits()
        self.table: LimitTable
        self.reconfigure(settings)

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Take other limits; rates go on."""
        nobody = settings.anonymous.limit if settings.anonymous is not None else None
        book = self.book
        self.table = LimitTable(settings.limits, lambda key: nobody if key == ANONYMOUS else book.limits(key))

    async def holder(self, principal: Principal, tags: tuple[str, ...]) -> Holder:
        """Who pays for a request with this key."""
        return await self.book.holder(principal, tags)

    def allows(self, holder: Holder, model: str) -> bool:
        """Whether a model may be used."""
        return allows(self.table.chain(holder), model) is None

    def take(self, holder: Holder, tokens: int, now: float) -> float:
        """Count a request and its estimated tokens; else the seconds until that is possible."""
        return self._rates.take(self.table.chain(holder), tokens, now)

    def priority(self, holder: Holder) -> Priority:
        """Whether it waits behind others."""
        return priority(self.table.chain(holder))
