"""Who is asking, and what they may do: tenants, API keys, roles, the audit trail."""

from holdfast.identity.audit import AuditEntry
from holdfast.identity.errors import IdentityError
from holdfast.identity.identities import Identities
from holdfast.identity.key import new_key, parse
from holdfast.identity.keys import ApiKey
from holdfast.identity.principal import ROLES, Principal, Scope

__all__ = ["ROLES", "ApiKey", "AuditEntry", "Identities", "IdentityError", "Principal", "Scope", "new_key", "parse"]
