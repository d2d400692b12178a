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
    WORKER = "worker"
    """Take jobs of every tenant and report on them."""
    OPERATE = "operate"
    """See figures of every tenant (queue, scaling); no tenant's jobs."""


_VIEWER: Final = frozenset({Scope.JOBS_READ, Scope.NETPULSE_READ})
_EDITOR: Final = _VIEWER | {Scope.JOBS_WRITE, Scope.NETPULSE_WRITE}
_ADMIN: Final = _EDITOR | {Scope.AUDIT_READ, Scope.NETPULSE_ADMIN}
ROLES: Final[Mapping[str, frozenset[Scope]]] = {
    "viewer": _VIEWER,
    "developer": frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE, Scope.NETPULSE_READ}),
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
