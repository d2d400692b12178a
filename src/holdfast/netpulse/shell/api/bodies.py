"""JSON in and out: durations and sizes as text with a unit, unknown keys refused with their path."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from holdfast.kernel import Duration, Size
from holdfast.netpulse.core.ports import Silence
from holdfast.netpulse.core.settings import MaintenanceSettings, MonitorSettings
from holdfast.netpulse.core.views import IncidentView, MonitorView
from holdfast.netpulse.shell.api.problems import ProblemError
from holdfast.web.decoding import decode_json
from holdfast.web.problems import Fault
from holdfast.web.problems import ProblemError as CommonProblemError
from holdfast.web.times import timestamp

T = TypeVar("T")

_FIELD: Final = re.compile(r"(?:unknown|missing required) field `(?P<name>[^`]*)`")
"""The decoder's path ends at the object; the field is in the text."""
_REMEDIES: Final = (
    (re.compile("unknown field"), "see /openapi.json for the fields that there are"),
    (re.compile("missing required field"), "send it"),
    (re.compile("expected `(?P<what>[^`]*)`"), "send that type"),
    (re.compile("is not a (duration|size)"), 'write text with a unit, like "30s" or "64KiB"'),
)


class In(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Base of what comes in."""


class NewMonitor(MonitorSettings, frozen=True, kw_only=True):
    """A monitor as in the file, with its id."""

    id: str


class NewMaintenance(MaintenanceSettings, frozen=True, kw_only=True):
    """A maintenance as in the file, with its id."""

    id: str


class NoteBody(In, frozen=True):
    """A line for an incident's timeline."""

    text: str


class SilenceBody(In, frozen=True):
    """Nobody is told of what matches: until ``ends``, or for the time in ``for``."""

    match: dict[str, str]
    starts: str | None = None
    """RFC 3339; now when absent."""
    ends: str | None = None
    lasts: Duration | None = msgspec.field(default=None, name="for")
    comment: str = ""


class SimulationBody(In, frozen=True):
    """Force a monitor to look ``down``, ``slow`` or ``flapping``; ``"for": "0"`` ends it."""

    monitor: str
    kind: str = "down"
    lasts: Duration = msgspec.field(default=Duration(300.0), name="for")


class Out(msgspec.Struct, kw_only=True, frozen=True):
    """Base of what goes out."""


class MonitorsBody(Out, frozen=True):
    """A page of monitors, by id."""

    monitors: list[MonitorView]
    next: str | None = None


class CheckBody(Out, frozen=True):
    """One check."""

    at: str
    region: str
    agent: str
    outcome: str
    failure: str
    total_ms: float
    phases_ms: dict[str, float]
    status: int
    detail: str
    address: str
    cert_days: float | None
    confirm: bool
    """Sent at once, because another region saw a failure."""
    late: bool
    """It was spooled: counted for uptime, not for detection."""
    simulated: bool


class ChecksBody(Out, frozen=True):
    """A page of checks, newest first."""

    checks: list[CheckBody]
    next: str | None = None


class StepBody(Out, frozen=True):
    """One region over one step of time."""

    at: str
    up: int
    down: int
    unknown: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    phases_ms: dict[str, float]


class MetricsBody(Out, frozen=True):
    """Latency over time, by region."""

    monitor: str
    since: str
    until: str
    step_s: float
    regions: dict[str, list[StepBody]]


class PercentilesBody(Out, frozen=True):
    """Of the last 24 hours, of checks that found it up."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    checks: int


class ObjectiveBody(Out, frozen=True):
    """What is promised, and what is left of what may go wrong."""

    target: float
    window_s: float
    budget_left: float
    burn_1h: float
    burn_6h: float


class SlaBody(Out, frozen=True):
    """Uptime, speed and what is promised."""

    monitor: str
    uptime: dict[str, float | None]
    """``24h``, ``7d``, ``30d``, ``90d``: of the time that was watched, from what was decided. Parts of one."""
    downtime_s: dict[str, float]
    checks: dict[str, dict[str, int]]
    """The same spans: ``good`` and ``all`` single checks, the unknown left out."""
    regions: dict[str, PercentilesBody]
    objective: ObjectiveBody | None


class DayBody(Out, frozen=True):
    """A bar of the status page."""

    day: str
    downtime_s: float
    uptime: float | None
    """``None``: it was not watched."""


class DaysBody(Out, frozen=True):
    """Days of UTC, oldest first, today last."""

    monitor: str
    days: list[DayBody]


class IncidentsBody(Out, frozen=True):
    """A page of incidents, newest first."""

    incidents: list[IncidentView]
    next: str | None = None


class OutSilence(Out, frozen=True):
    """A silence."""

    id: str
    match: dict[str, str]
    starts: str
    ends: str
    comment: str
    created_by: str


class SilencesBody(Out, frozen=True):
    """Those that have not ended."""

    silences: list[OutSilence]


class ChannelBody(Out, frozen=True):
    """A way to tell somebody."""

    id: str
    kind: str


class ChannelsBody(Out, frozen=True):
    """Without anything secret."""

    channels: list[ChannelBody]


class TestBody(Out, frozen=True):
    """A test that was sent to the outbox, and what became of it."""

    key: str
    state: str
    """``waiting``, ``sent`` or ``failed``."""
    error: str = ""


class ExportedBody(Out, frozen=True):
    """A file of an export."""

    name: str
    rows: int
    size_bytes: int
    sha256: str
    path: str


class ExportBody(Out, frozen=True):
    """The manifest of an export."""

    month: str
    format: str
    files: list[ExportedBody]


class WhoamiBody(Out, frozen=True):
    """Whose key it is, and what it may do."""

    tenant: str
    key_id: str
    scopes: list[str]


class AcceptedBody(Out, frozen=True):
    """It was taken."""

    accepted: int


def silence(of: Silence) -> OutSilence:
    """As it goes out."""
    return OutSilence(
        id=of.id,
        match=dict(of.match),
        starts=timestamp(of.starts),
        ends=timestamp(of.ends),
        comment=of.comment,
        created_by=of.created_by,
    )


def encode(value: Any) -> bytes:
    """JSON."""
    return msgspec.json.encode(value, enc_hook=_text)


def plain(value: Any) -> Any:
    """Built-in types, as they go into JSON."""
    return msgspec.to_builtins(value, enc_hook=_text)


def decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Strict: for :func:`decode`."""
    return msgspec.json.Decoder(kind, dec_hook=_unit)


def decode(of: msgspec.json.Decoder[T], body: bytes) -> T:
    """A body. Raises :class:`ProblemError` with the path of what is wrong, and what to do."""
    try:
        return decode_json(of, body)
    except CommonProblemError as wrong:
        if wrong.kind.name != "invalid-request":
            raise
        message = wrong.detail.removeprefix(f"{wrong.field}: ")
        path = wrong.field or ""
        field = _FIELD.search(message)
        if field is not None:
            path = f"{path}.{field['name']}" if path else field["name"]
        remedy = next((text for pattern, text in _REMEDIES if pattern.search(message)), "see /openapi.json")
        fault = Fault(path=path, message=message, remedy=remedy)
        raise ProblemError(
            "invalid-request", f"{path}: {message}; {remedy}" if path else message, field=path or None, errors=[fault]
        ) from None


def _unit(kind: type, value: object) -> object:
    if kind in {Duration, Size} and isinstance(value, str):
        return kind.parse(value)
    example = "a duration like 30s" if kind is Duration else "a size like 64KiB"
    raise ValueError(f"expected `str`: {example}")


def _text(value: object) -> str:
    if isinstance(value, Duration | Size):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into JSON")
