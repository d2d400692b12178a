"""Who is asking, and what they may do: tenants, API keys, roles, the audit trail."""

from holdfast.identity.audit import AuditEntry
from holdfast.identity.callback_secrets import CallbackSecret
from holdfast.identity.errors import IdentityError
from holdfast.identity.identities import Identities
from holdfast.identity.key import new_key, parse
from holdfast.identity.keys import ApiKey
from holdfast.identity.principal import ROLES, Principal, Scope
from holdfast.identity.sessions import SessionTokens

__all__ = [
    "ROLES",
    "ApiKey",
    "AuditEntry",
    "CallbackSecret",
    "Identities",
    "IdentityError",
    "Principal",
    "Scope",
    "SessionTokens",
    "new_key",
    "parse",
]
