"""The audit trail, as an API writes it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from holdfast.identity import Principal
from holdfast.store import StoreError

log = logging.getLogger(__name__)


class Trail(Protocol):
    """What is needed of :class:`~holdfast.identity.Identities`."""

    async def audit(
        self, tenant: str, *, actor: str, action: str, target: str, detail: Mapping[str, Any] | None = None, now: float
    ) -> None:
        """Write down what was done; returns once it is on disk."""
        ...


async def write_down(
    trail: Trail,
    principal: Principal,
    action: str,
    target: str,
    detail: Mapping[str, Any] | None = None,
    *,
    now: float,
) -> None:
    """Write down what was done. It is done: a trail that cannot be written is our trouble, not the client's."""
    try:
        await trail.audit(
            principal.tenant, actor=principal.key_id, action=action, target=target, detail=detail, now=now
        )
    except StoreError as error:
        text = "the audit trail misses an entry"
        log.warning(text, extra={"action": action, "target": target, "why": str(error)})
