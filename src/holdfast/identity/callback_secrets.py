"""Secrets that a tenant's callbacks are signed with, in the form of Standard Webhooks.

    secret = "whsec_" base64(32 random bytes)

They are stored as they are: who signs has to know the secret, and a key to encrypt it with would
lie beside it. A callback is signed with every secret that is good, so that a receiver may change
over at any time of the overlap.

Source: https://www.standardwebhooks.com
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final

from holdfast.identity.audit import AuditEntry, record
from holdfast.store import Tx

PREFIX: Final = "whsec_"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSecret:
    """A secret, and how long it is good."""

    text: str = field(repr=False)
    created: float
    expires: float | None
    """``None`` for the one in force."""


def good(tx: Tx, tenant: str, *, now: float) -> list[CallbackSecret]:
    """The secrets to sign with, newest first."""
    rows = tx.all(
        "SELECT secret, created, expires FROM identity_callback_secrets "
        "WHERE tenant = ? AND (expires IS NULL OR expires > ?) ORDER BY seq DESC",
        tenant,
        now,
    )
    return [CallbackSecret(text=text, created=created, expires=expires) for text, created, expires in rows]


def draw(tx: Tx, tenant: str, *, now: float) -> None:
    """Put a fresh secret in force, unless there is one."""
    text = PREFIX + b64encode(secrets.token_bytes(32)).decode("ascii")
    tx.run(
        "INSERT INTO identity_callback_secrets (tenant, secret, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        tenant,
        text,
        now,
    )


def rotate(tx: Tx, tenant: str, *, overlap_s: float, now: float, actor: str) -> None:
    """Put a fresh secret in force; the one before is good for ``overlap_s`` more, older ones are removed."""
    tx.run("DELETE FROM identity_callback_secrets WHERE tenant = ? AND expires IS NOT NULL", tenant)
    tx.run(
        "UPDATE identity_callback_secrets SET expires = ? WHERE tenant = ? AND expires IS NULL", now + overlap_s, tenant
    )
    draw(tx, tenant, now=now)
    record(tx, AuditEntry(tenant=tenant, at=now, actor=actor, action="callback_secret.rotate", target=tenant))
