"""Whom a request speaks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """One thing that a key may be used for."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    AUDIT_READ = "audit:read"
    KEYS_WRITE = "keys:write"
    WORKER = "worker"
    """Take jobs of every tenant and report on them."""
    OPERATE = "operate"
    """See figures of every tenant (queue, scaling); no tenant's jobs."""


ROLES: Mapping[str, frozenset[Scope]] = {
    "viewer": frozenset({Scope.JOBS_READ}),
    "developer": frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE}),
    "admin": frozenset({Scope.JOBS_READ, Scope.JOBS_WRITE, Scope.AUDIT_READ, Scope.KEYS_WRITE}),
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
