"""What agents and the engine say to each other: MessagePack over HTTPS with mutual TLS, the agent always asks.

The certificate says who asks: its subject's common name is the agent, its organizational unit the region. A message
that names another agent than its certificate is refused with 403.

``POST /agent/v1/orders``
    :class:`Ask` -> :class:`Orders`. Held open up to ``wait_s`` (the heartbeat interval) until the schedule changes or
    a confirmation is wanted. An agent always has one of these open; it also says that the agent lives.
``POST /agent/v1/results``
    :class:`Batch` -> :class:`Receipt`. Answered after the commit. An agent keeps results in its spool until a receipt
    covers them: ``(agent, spool, seq)`` makes a repetition harmless.

Bodies are bounded by :data:`BATCH_BYTES`. 413 and 400 are final: the agent says so, and for a batch goes on with
smaller ones down to a single result, which is then dropped and counted. 403 is about who sends and not about what: an
agent that gets it watches nothing, and keeps what it saw until it is let in again. Anything else is repeated with
backoff.
"""

from __future__ import annotations

import math
from typing import Any, Final, TypeVar

import msgspec

from holdfast.kernel import Duration, Size
from holdfast.netpulse.core.result import Result
from holdfast.netpulse.core.settings import CanarySettings, MonitorSettings

BATCH_RESULTS: Final = 1000
"""Most results of one batch."""
BATCH_BYTES: Final = 2 * 2**20
ORDERS_BYTES: Final = 16 * 2**20
"""Largest answer to :class:`Ask`."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Base of all messages."""


class Sight(Message, frozen=True):
    """Whether the agent can see: what its canaries say."""

    blind: bool
    since: float
    """Seconds since the epoch, by the agent's clock."""
    reason: str = ""


class Ask(Message, frozen=True):
    """I am here; what is there to do."""

    agent: str
    region: str
    epoch: str
    """Random, one per start of the process."""
    now: float
    """The agent's clock, seconds since the epoch."""
    sight: Sight
    schedule: str = ""
    """Version that the agent has; empty: none."""
    confirmed: int = 0
    """Highest number of a confirmation that the agent has taken up."""
    version: str = ""
    """Of the program."""
    spooled: int = 0
    """Results that wait."""
    dropped: int = 0
    """Results lost to a full spool or as unacceptable, since the spool was made."""
    lag_p99_ms: float = 0.0
    """How late checks began, of the last minute."""


class Target(Message, frozen=True):
    """A monitor to probe."""

    monitor: str
    """``TENANT/ID``."""
    spec: MonitorSettings
    offset: float
    """Probes begin at ``offset + k * interval``, seconds since the epoch: staggered over regions and targets."""


class Confirm(Message, frozen=True):
    """Probe this now."""

    number: int
    """Counts the confirmations of this agent."""
    monitor: str


class Orders(Message, frozen=True):
    """What to do."""

    now: float
    """The engine's clock, seconds since the epoch."""
    wait_s: float
    """Ask again at once after an answer; an answer that takes longer than this and a bit is lost."""
    schedule: str
    """Version of the schedule that the agent should have."""
    targets: tuple[Target, ...] | None = None
    """The whole schedule, when the agent's version is another one."""
    canaries: tuple[CanarySettings, ...] | None = None
    """With ``targets``."""
    confirms: tuple[Confirm, ...] = ()


class Batch(Message, frozen=True):
    """What I saw."""

    agent: str
    region: str
    spool: str
    """Random, one per spool file: where ``seq`` counts."""
    now: float
    """The agent's clock when this was sent."""
    results: tuple[Result, ...]
    """In the order of ``seq``."""


class Receipt(Message, frozen=True):
    """On disk."""

    upto: int
    """Everything up to this ``seq`` is taken."""
    refused: int = 0
    """Of this batch, results that were not kept: of monitors that do not exist any more."""
    clock_offset_s: float = 0.0
    """What the engine adds to this agent's times."""


SPOOL_CHARACTERS: Final = 64
"""Most of the name of a spool or an epoch."""
_LAST_SEQ: Final = 2**63 - 1
_LONGEST_MS: Final = 86_400_000.0
_LONGEST_DAYS: Final = 4_000_000.0
"""Of a certificate: those that never expire say the year 9999."""


def unsound_ask(ask: Ask) -> str:
    """What cannot be in a question; empty: it is sound."""
    if not all(map(math.isfinite, (ask.now, ask.sight.since, ask.lag_p99_ms))):
        return "a time that is no number"
    if len(ask.epoch) > SPOOL_CHARACTERS or min(ask.confirmed, ask.spooled, ask.dropped) < 0:
        return "an epoch that is too long, or a negative count"
    return ""


def unsound_batch(batch: Batch) -> str:
    """What cannot be in a batch, with the first result that has it; empty: it is sound.

    An agent's certificate says who it is, not that its clock, its disk or its program are in order.
    """
    if not batch.results:
        return "a batch without results; send none"
    if not 0 < len(batch.spool) <= SPOOL_CHARACTERS or not batch.spool.isprintable():
        return f"the name of a spool has 1 to {SPOOL_CHARACTERS} printable characters"
    if not math.isfinite(batch.now):
        return "the time of the batch is no number"
    before = 0
    for at, result in enumerate(batch.results):
        if not before < result.seq <= _LAST_SEQ:
            return f"result {at}: number {result.seq} does not rise from {before}"
        before = result.seq
        figures = (result.at, result.total_ms, *msgspec.structs.astuple(result.phases), result.cert_days)
        if not all(figure is None or math.isfinite(figure) for figure in figures):
            return f"result {at}: a figure that is no number"
        times = (result.total_ms, *(part for part in msgspec.structs.astuple(result.phases) if part is not None))
        if not all(0 <= part <= _LONGEST_MS for part in times):
            return f"result {at}: it took less than no time, or longer than a day"
        if abs(result.cert_days or 0.0) > _LONGEST_DAYS:
            return f"result {at}: a certificate for {result.cert_days} days"
        if not -(2**31) <= result.status < 2**31:
            return f"result {at}: status {result.status} is none"
    return ""


M = TypeVar("M", bound=msgspec.Struct)


def _encode_unit(value: object) -> object:
    """Msgspec refuses subclasses of numbers: what may look different in a file is a number on the wire."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        return int(value)
    raise NotImplementedError(f"{type(value)} is not part of any message")


def _decode_unit(kind: type, value: object) -> Any:
    if kind is Duration and isinstance(value, (float, int)) and math.isfinite(value):
        return Duration(value)
    if kind is Size and isinstance(value, int):
        return Size(value)
    raise ValueError(f"{type(value).__name__} is no {kind.__name__}")


encode: Final = msgspec.msgpack.Encoder(enc_hook=_encode_unit).encode
"""A message, or anything made of what messages are made of, as MessagePack."""


def decoder(kind: type[M]) -> msgspec.msgpack.Decoder[M]:
    """Reads what :data:`encode` wrote. Its ``decode`` raises ``msgspec.MsgspecError`` for what is not of this kind."""
    return msgspec.msgpack.Decoder(kind, dec_hook=_decode_unit)


__all__ = [
    "BATCH_BYTES",
    "BATCH_RESULTS",
    "ORDERS_BYTES",
    "Ask",
    "Batch",
    "Confirm",
    "Message",
    "Orders",
    "Receipt",
    "Sight",
    "Target",
    "decoder",
    "encode",
    "unsound_ask",
    "unsound_batch",
]
