"""Bodies of the control API. Those that come in refuse what they do not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from holdfast.gateway.core.settings import LimitSettings
from holdfast.gateway.shell.ledger import UsageRow

Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Nano = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Out(msgspec.Struct, frozen=True, kw_only=True):
    """Sent, never received."""


class In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Received."""


class UsageBody(Out, frozen=True):
    """A page of groups."""

    since: str
    until: str
    rows: Sequence[UsageRow]
    next: int | None
    """``offset`` of the next page."""


class CostRow(Out, frozen=True):
    """One group."""

    group: dict[str, str | None]
    requests: int
    attempts: int
    cost_nano: int
    cost: str
    unpriced: int
    estimated: int


class CostsBody(Out, frozen=True):
    """A page of groups, and what all of them together cost, on whatever page they are."""

    since: str
    until: str
    cost_nano: int
    cost: str
    unpriced: int
    rows: list[CostRow]
    next: int | None


class BudgetBody(Out, frozen=True):
    """One budget. Money as text in dollars, exactly."""

    scope: str
    """``tenant:acme``, ``key:...``."""
    window: str
    """``2026-11`` or ``2026-11-22``."""
    limit: str
    spent: str
    reserved_here: str
    """By requests under way in this process."""
    held_here: str
    """Of a budget that several gateways share: leased by this one, and free."""
    ends: str
    """When it begins anew."""
    verdict: str


class BudgetsBody(Out, frozen=True):
    """All budgets that a key is under; none when there is no limit."""

    key: str
    budgets: list[BudgetBody]


class ReportBody(In, frozen=True):
    """What a provider says of an attempt, by the id that it was sent with (``x-holdfast-attempt``)."""

    attempt: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    unseen: bool = False
    """The provider has never seen it: it costs nothing."""
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    cost_nano: Nano | None = None
    """What it charges, where it says so; else the price of the deployment holds."""


class ReconcileBody(In, frozen=True):
    """A provider's report."""

    attempts: Annotated[list[ReportBody], msgspec.Meta(min_length=1, max_length=10_000)]


class ReconciledBody(Out, frozen=True):
    """What came of it."""

    changed: int
    unknown: list[str]
    """Attempts that are none of the tenant's, or ended as they should."""
    unpriced: list[str]
    """They stay charged as reserved: nobody knows their price."""
    difference_nano: int
    difference: str


class NewKey(In, frozen=True):
    """A key to be made."""

    name: Annotated[str, msgspec.Meta(max_length=100)] = ""
    team: Name | None = None
    user: Name | None = None
    limits: LimitSettings | None = None
    """Those of ``limits.default`` when absent."""
    tags: Annotated[tuple[Name, ...], msgspec.Meta(max_length=16)] = ()
    scopes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=20)] = ("gateway:use", "gateway:read")
    """At most those of the key that makes it."""
    expires: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    """RFC 3339, or after how long: ``30d``."""


class ChangedKey(In, frozen=True):
    """What is absent stays as it is; ``null`` removes it."""

    team: Name | msgspec.UnsetType | None = msgspec.UNSET
    user: Name | msgspec.UnsetType | None = msgspec.UNSET
    limits: LimitSettings | msgspec.UnsetType | None = msgspec.UNSET
    tags: Annotated[tuple[Name, ...], msgspec.Meta(max_length=16)] | msgspec.UnsetType = msgspec.UNSET


class KeyBody(Out, frozen=True):
    """A key as it may be shown."""

    id: str
    name: str
    state: str
    """``active``, ``expired`` or ``revoked``."""
    team: str | None
    user: str | None
    limits: LimitSettings | None
    tags: list[str]
    scopes: list[str]
    created: str
    created_by: str
    expires: str | None
    last_used: str | None


class MadeKeyBody(KeyBody, frozen=True):
    """A new key, with its text: shown this once, and kept nowhere."""

    key: str


class KeysBody(Out, frozen=True):
    """Newest first."""

    keys: list[KeyBody]
    next: int | None


class DeploymentsBody(Out, frozen=True):
    """All that the gateway knows of each."""

    deployments: list[dict[str, Any]]


class ModelBody(Out, frozen=True):
    """A name that clients use."""

    model: str
    tiers: list[list[str]]
    """Deployments, each tier tried when none of those before will do; fallbacks are the last."""
    own: int
    """How many tiers are the model's own."""
    hedged: bool
    description: str
    trials: dict[str, Any]
    """Its canary and its shadow: how they go, and why one was rolled back."""


class ModelsBody(Out, frozen=True):
    """Of the configuration."""

    models: list[ModelBody]
