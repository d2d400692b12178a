"""Who is asking, and what they may do: tenants, API keys, roles, the audit trail."""

from holdfast.identity.principal import ROLES, Principal, Scope

__all__ = ["ROLES", "Principal", "Scope"]
