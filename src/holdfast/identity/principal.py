"""Whom a request speaks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """One thing that a key may be used for."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    AUDIT_READ = "audit:read"
    KEYS_WRITE = "keys:write"
    NETPULSE_READ = "netpulse:read"
    NETPULSE_WRITE = "netpulse:write"
    """Acknowledge and resolve incidents; make monitors and silences."""
    NETPULSE_ADMIN = "netpulse:admin"
    """Channels, maintenance, export; remove monitors."""
    GATEWAY_USE = "gateway:use"
    """Ask models, within the key's limits; keep sessions."""
    GATEWAY_READ = "gateway:read"
    """See usage and costs of the tenant."""
    GATEWAY_ADMIN = "gateway:admin"
    """Deployments, explanations, limits of the tenant's keys, tools that need it."""
    WORKER = "worker"
    """Take jobs of every tenant and report on them."""
    OPERATE = "operate"
    """See figures of every tenant (queue, scaling); no tenant's jobs."""


_VIEWER: Final = frozenset({Scope.JOBS_READ, Scope.NETPULSE_READ, Scope.GATEWAY_READ})
_EDITOR: Final = _VIEWER | {Scope.JOBS_WRITE, Scope.NETPULSE_WRITE, Scope.GATEWAY_USE}
_ADMIN: Final = _EDITOR | {Scope.AUDIT_READ, Scope.NETPULSE_ADMIN, Scope.GATEWAY_ADMIN}
ROLES: Final[Mapping[str, frozenset[Scope]]] = {
    "viewer": _VIEWER,
    "developer": _VIEWER | {Scope.JOBS_WRITE, Scope.GATEWAY_USE},
    "editor": _EDITOR,
    "admin": _ADMIN,
    "owner": _ADMIN | {Scope.KEYS_WRITE},
    "worker": frozenset({Scope.WORKER}),
    "operator": frozenset({Scope.OPERATE}),
}
"""A role is a name for a set of scopes; a key may have fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller."""

    tenant: str
    key_id: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether the key carries the scope."""
        return scope in self.scopes
