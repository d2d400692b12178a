"""What the data plane needs of the parts around it. Everything here takes and gives values; times are seconds.

``now`` is monotonic unless it is called ``wall`` (seconds since the epoch).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from holdfast.gateway.core.conversation import Answer, Chat, Event
from holdfast.gateway.core.outcome import Failure
from holdfast.gateway.core.settings import Priority
from holdfast.gateway.core.usage import Price, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who pays: the chain of whom limits and budgets are about."""

    tenant: str
    key_id: str
    """``anonymous`` for who has none."""
    team: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    """From ``x-holdfast-tags``: for reports, never for limits."""


# ------------------------------------------------------------ the fleet of deployments: pure


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a request asks of a deployment."""

    tokens: int
    """Estimated: input, and what may come out."""
    input_tokens: int
    max_output: int | None = None
    tools: bool = False
    vision: bool = False
    json_schema: bool = False
    priority: Priority = "interactive"
    key: bytes = b""
    """For affinity: the same user, the same deployment, where nothing speaks against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Where the next attempt goes."""

    deployment: str
    trial: bool = False
    """A half-open deployment is being tried: at most ``health.trials`` at once."""
    hedge_after_s: float | None = None
    """When a hedge may follow, if the route hedges; ``None`` without figures yet."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """No place now; one of these will be free. The caller queues (:class:`Queue`)."""

    retry_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Nowhere:
    """No deployment will do, and waiting does not help."""

    reason: str
    """``cooling``: all are out; ``unsuited``: none can do what is asked; ``tried``: all were."""
    message: str
    retry_after_s: float | None = None
    detail: Mapping[str, str] = field(default_factory=dict)
    """Deployment -> why not."""


class Fleet(Protocol):
    """All deployments of this process: health, load, limits, prices of time. Decides; opens nothing."""

    def choose(
        self, tiers: Sequence[Sequence[str]], need: Need, *, tried: Sequence[str], now: float
    ) -> Chosen | Wait | Nowhere:
        """Where an attempt goes: the first tier with one that will do; ``tried`` only when all were tried.

        A deployment in cool-down, open, or before its ``retry-after`` is never chosen.
        """

    def began(self, deployment: str, need: Need, *, now: float, trial: bool = False, hedge: bool = False) -> int:
        """An attempt was sent; the ticket that names it from here on. Takes its tokens in flight."""

    def first_token(self, ticket: int, *, now: float) -> None:
        """Its commit point was reached."""

    def succeeded(self, ticket: int, *, now: float, usage: Usage | None) -> None:
        """It ended as it should."""

    def failed(self, ticket: int, failure: Failure, *, now: float, retry_after_s: float | None = None) -> None:
        """It failed. Blameless failures eject nobody; ``retry-after`` moves the deployment's deadline only forward."""

    def abandoned(self, ticket: int, *, now: float) -> None:
        """It was given up for reasons that say nothing about the deployment: client gone, hedge lost."""

    def may_hedge(self, need: Need, *, now: float) -> bool:
        """Whether a hedge can be afforded; takes its tokens from the five percent when it can."""

    def tick(self, now: float) -> list[Mapping[str, Any]]:
        """Let time work; what changed since (each with ``deployment``, ``before``, ``after``, ``rule``, figures)."""

    def explain(self, deployment: str, now: float) -> Mapping[str, Any]:
        """Why it is in or out, since when, until when, with figures. ``KeyError`` for an unknown one."""


# ------------------------------------------------------------ money


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Part of each budget of a holder, put aside for one attempt."""

    attempt: str
    nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptBegun:
    """Written to the journal before a byte goes to a provider."""

    attempt: str
    """Unique over all instances and restarts; sent to the provider as ``x-holdfast-attempt``."""
    request: str
    holder: Holder
    model: str
    """As the client named it."""
    deployment: str
    upstream_model: str
    wall: float
    reserved_nano: int
    input_tokens: int
    """Estimated."""
    kind: str = "chat"
    hedge: bool = False
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded:
    """Written once when an attempt is over."""

    attempt: str
    wall: float
    outcome: str
    """``ok``, ``cancelled``, or a :data:`~.outcome.Failure`."""
    status: int
    usage: Usage
    cost_nano: int | None
    """``None``: the price is unknown, which reports say."""
    first_token_s: float | None
    duration_s: float


class Ledger(Protocol):
    """Budgets, and what was spent. Nothing that was sent to a provider is missing from it, whatever dies."""

    def price(self, deployment: str) -> Price | None:
        """Nano-dollars, or that nobody knows."""

    async def reserve(self, holder: Holder, attempt: str, nano: int, *, wall: float, deadline_s: float) -> Reservation:
        """Put money aside in all budgets of the holder, or in none.

        Usually immediate; waits for a lease at most ``deadline_s``. Raises :class:`Refused` (``budget_exhausted``)
        that names the budget, what is left, and when it begins anew.
        """

    def release(self, reservation: Reservation) -> None:
        """Give it back: the attempt was never sent."""

    def begin(self, begun: AttemptBegun) -> None:
        """Write it down; returns when ``kill -9`` cannot undo it (one ``write``, no waiting)."""

    def end(self, ended: AttemptEnded) -> None:
        """Settle: what it cost takes the place of what was reserved. Once per attempt; a second one is a bug."""

    def cached(self, holder: Holder, model: str, *, wall: float, request: str, kind: str = "chat") -> None:
        """An answer of the cache was given: it counts as a request and costs nothing."""


# ------------------------------------------------------------ guardrails


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a guardrail saw. What it saw is not in here."""

    rule: str
    """``secrets.openai_key``, ``cards``, ``injection`` ..."""
    action: str
    where: str
    """``messages.2.text``, ``answer``."""
    score: float | None = None
    count: int = 1


class StreamGuard(Protocol):
    """Watches one answer; holds back the last characters until they are innocent."""

    findings: list[Finding]

    def feed(self, events: Sequence[Event]) -> list[Event]:
        """What may go on to the client. Raises :class:`Refused` (``blocked``)."""

    def end(self) -> list[Event]:
        """What was still held back."""


class Guard(Protocol):
    """The guardrails of one policy for one request."""

    findings: list[Finding]

    def before(self, chat: Chat) -> Chat:
        """The request, redacted where the policy says so. Raises :class:`Refused` (``blocked``)."""

    def answer(self, answer: Answer) -> Answer:
        """A whole answer: judged, redacted, and what was redacted of the request put back."""

    def stream(self) -> StreamGuard:
        """For one stream."""


# ------------------------------------------------------------ models, asked from inside


class ModelCaller(Protocol):
    """Asks a model as a client of the data plane would: the holder's limits and budgets hold, and the guardrails."""

    async def complete(self, holder: Holder, chat: Chat) -> tuple[Answer, int | None]:
        """The answer to ``chat``, not streamed, and what it cost in nano-dollars (``None``: nobody knows).

        Cancelling the call cancels the attempt under way. Raises :class:`Refused`, which is what the holder's client
        would be told.
        """
