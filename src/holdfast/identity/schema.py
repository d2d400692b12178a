"""The tables of this room. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Final

COMPONENT: Final = "identity"

VERSIONS: Final = (
    (
        # A tenant is there from its first key on.
        "CREATE TABLE identity_tenants (id TEXT PRIMARY KEY, created {float} NOT NULL)",
        """CREATE TABLE identity_keys (
            id TEXT PRIMARY KEY,
            tenant TEXT NOT NULL REFERENCES identity_tenants (id),
            name TEXT NOT NULL,
            role TEXT NOT NULL,
            scopes TEXT NOT NULL,
            digest {blob} NOT NULL,
            created {float} NOT NULL,
            expires {float},
            revoked {float},
            last_used {float},
            replaced_by TEXT
        )""",
        "CREATE INDEX identity_keys_by_tenant ON identity_keys (tenant, created)",
        """CREATE TABLE identity_audit (
            seq {serial},
            tenant TEXT NOT NULL,
            at {float} NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            target TEXT NOT NULL,
            detail TEXT NOT NULL
        )""",
        # A page of one tenant is a range of an index, however much the others do.
        "CREATE INDEX identity_audit_by_tenant ON identity_audit (tenant, seq)",
        "CREATE INDEX identity_audit_by_action ON identity_audit (tenant, action, seq)",
        # Keys that sign sessions, and secrets that sign callbacks: both have to be readable to be of use.
        "CREATE TABLE identity_session_keys (id TEXT PRIMARY KEY, secret {blob} NOT NULL, created {float} NOT NULL)",
        """CREATE TABLE identity_callback_secrets (
            seq {serial},
            tenant TEXT NOT NULL,
            secret TEXT NOT NULL,
            created {float} NOT NULL,
            expires {float}
        )""",
        "CREATE INDEX identity_callback_secrets_by_tenant ON identity_callback_secrets (tenant)",
        # The secret in force is the one without an end; two processes that draw the first one get the same.
        """CREATE UNIQUE INDEX identity_callback_secret_in_force ON identity_callback_secrets (tenant)
            WHERE expires IS NULL""",
    ),
)
