"""Who is told of an incident, when, and when again. Pure and stateless.

What was told is an argument: the keys of the notices that were decided so far. A key follows from the incident and
from what caused the notice, so deciding twice gives the same notice and never two::

    INCIDENT/REVISION/EVENT/CHANNEL               of a transition: its number
    INCIDENT/OPENING/escalated/CHANNEL/STEP       of time: which opening of the incident (0, 1 after one reopening),
    INCIDENT/OPENING/repeated/CHANNEL/STEP/N      which step of the route, which repetition of it

(The channel is percent-encoded.) The rules:

- The first route whose matchers all fit takes the incident. A route without matchers takes everything, one without
  steps tells nobody, and without a route nobody is told.
- *Opened* and *reopened* go to the steps without a delay. Later steps are taken while the incident is open, not while
  it is acknowledged, recovering or flapping; so is the repetition of the last step, of which only the latest is sent
  when several were missed.
- *Acknowledged* and *resolved* go to exactly those channels that were told it is open. A step that was never reached
  gets nothing.
- *Joined* is an update for channels that were told (the book gathers members, so that the fifty of a cause are in the
  text of one message). If with its new members an open incident belongs to another route, or is a page now and its
  opening is still held back as a ticket, it is opened there.
- *Flapping* is told once after each opening; what it ends as is told in any case.
- Quiet hours hold back tickets. A page is for waking somebody, so it ignores them, unless the route names
  ``severity`` in its ``match``: then whoever wrote it has said what is to wait. What is held back is decided again
  when it is sent (:func:`obsolete`): of an incident that is over by then nobody hears, neither that it was open nor
  that it is resolved. Escalation counts from the end of the quiet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from holdfast.netpulse.core.incident import Incident, Notice, State, Transition
from holdfast.netpulse.core.matching import matches
from holdfast.netpulse.core.quiet import quiet_until

if TYPE_CHECKING:
    from holdfast.netpulse.core.settings import QuietSettings, RouteSettings

OPENING: Final = frozenset({"opened", "reopened"})
TELLING: Final = OPENING | {"flapping", "escalated", "repeated"}
"""After one of these a channel knows that the incident stands."""
_BY_TIME: Final = frozenset({"escalated", "repeated"})
_CLIMBING: Final = frozenset({State.OPEN, State.REOPENED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The parts of a notice's key."""

    incident: str
    cause: int
    event: str
    channel: str
    step: int = 0
    number: int = 0

    def __str__(self) -> str:
        text = f"{self.incident}/{self.cause}/{self.event}/{quote(self.channel, safe='')}"
        if self.event in _BY_TIME:
            text += f"/{self.step}"
        return f"{text}/{self.number}" if self.event == "repeated" else text

    @classmethod
    def parse(cls, text: str) -> Key:
        """Raises ``ValueError`` for what is no key."""
        try:
            incident, cause, event, channel, *rest = text.split("/")
            step, number = (int(part) for part in [*rest, "0", "0"][:2])
            return cls(
                incident=incident, cause=int(cause), event=event, channel=unquote(channel), step=step, number=number
            )
        except ValueError:
            raise ValueError(f"not the key of a notice: {text!r}") from None


def route_of(routes: Sequence[RouteSettings], incident: Incident, labels: Mapping[str, str]) -> RouteSettings | None:
    """The first that matches. ``severity`` and ``condition`` are the incident's, whatever the labels say."""
    labels = {**labels, "severity": incident.severity, "condition": incident.condition.value}
    return next((route for route in routes if matches(route.match, labels)), None)


def notices(
    incident: Incident,
    transitions: Sequence[Transition],
    routes: Sequence[RouteSettings],
    labels: Mapping[str, str],
    told: Mapping[str, float],
    now: float,
) -> tuple[Notice, ...]:
    """What the transitions just made call for.

    Args:
        incident: As it stands after them.
        transitions: In order; those that tell nothing are passed over.
        routes: Of the incident's tenant: another tenant's channels must not even be known here.
        labels: Of the incident, for matching.
        told: Keys of the incident's notices so far, and when each was decided.
        now: Seconds since the epoch.
    """
    route = route_of(routes, incident, labels)
    history = _History(told)
    decided: list[Notice] = []
    for transition in transitions:
        for event, channel in _called_for(transition, incident, route, history, now):
            key = Key(incident=incident.id, cause=transition.number, event=event, channel=channel)
            if history.add(key, now):
                decided.append(_notice(key, incident, now, _released(route, incident, now)))
    return tuple(decided)


def due(
    incident: Incident,
    routes: Sequence[RouteSettings],
    labels: Mapping[str, str],
    told: Mapping[str, float],
    now: float,
) -> tuple[tuple[Notice, ...], float | None]:
    """Steps and repetitions that are due by time, and when the next will be (``None``: not by time alone).

    Arguments as for :func:`notices`.
    """
    route = route_of(routes, incident, labels)
    if route is None or not route.steps or incident.state not in _CLIMBING or incident.opened is None:
        return (), None
    history = _History(told)
    opened = max([incident.opened, *(at for at, key in history.entries if key.event in OPENING)])
    base = _released(route, incident, opened)
    quiet = _released(route, incident, now)
    keys: list[Key] = []
    upcoming: list[float] = []
    for number, step in enumerate(route.steps):
        if step.after <= 0:
            continue  # told with the opening
        if now < base + step.after:
            upcoming.append(base + step.after)
            continue
        keys.extend(_by_time(incident, "escalated", step.channels, number, 0))
    last = max(range(len(route.steps)), key=lambda number: (route.steps[number].after, number))
    if route.repeat > 0:
        began = base + max(0.0, route.steps[last].after)
        # Rounded up a little, so that a look at the very time of a repetition finds it in spite of binary fractions.
        number = math.floor((now - began) / route.repeat + 1e-6)
        if number >= 1:
            keys.extend(_by_time(incident, "repeated", route.steps[last].channels, last, number))
        upcoming.append(began + (max(number, 0) + 1) * route.repeat)
    fresh = [key for key in keys if str(key) not in told]
    if quiet > now:
        # Looked at again when it ends: a night's repetitions are one then, and none if it is over.
        return (), quiet if fresh or upcoming else None
    return tuple(_notice(key, incident, now, now) for key in fresh), min(upcoming, default=None)


def knows(channel: str, sent: Mapping[str, float]) -> bool:
    """Whether an incident stands for a channel. ``sent``: as for :func:`obsolete`."""
    return channel in _History(sent).standing()


def obsolete(notice: Notice, incident: Incident | None, sent: Mapping[str, float]) -> str | None:
    """Why a notice that is due need not be sent any more; ``None`` when it has to be. Asked before each attempt.

    Only what time has overtaken on purpose is dropped. An opening that was held up by a channel that did not answer
    is still delivered, late, and its resolve after it.

    Args:
        notice: That is due.
        incident: As it stands now; ``None`` when it is not there any more.
        sent: Keys of the incident's notices that reached their channel, and when each was decided.
    """
    if notice.event == "test" or incident is None:
        return None
    if notice.event in _BY_TIME and incident.state not in _CLIMBING:
        return f"the incident is {incident.state.value}"
    if notice.event in {"acknowledged", "resolved", "joined"} and not knows(notice.channel, sent):
        return "the channel was not told of the incident"
    over = incident.state is State.RESOLVED
    if notice.event == "joined" and over:
        return "the incident is resolved"
    if notice.not_before > notice.at and notice.event in TELLING and over:
        return "the incident was resolved while quiet hours held this back"
    if notice.not_before > notice.at and notice.event in OPENING and knows(notice.channel, sent):
        return "the channel was told in the meantime"
    return None


def sequence(notice: Notice) -> tuple[float, float, str]:
    """What messages about one incident are ordered by."""
    if notice.event == "test":
        return notice.at, 0.0, notice.key
    return *_order((notice.at, Key.parse(notice.key))), notice.key


def test_notice(*, tenant: str, channel: str, id: str, now: float) -> Notice:
    """A message that says only that the channel works. ``id``: another one for each press of the button."""
    key = Key(incident="test", cause=0, event="test", channel=channel)
    return Notice(
        key=f"{key}/{quote(id, safe='')}",
        incident="",
        tenant=tenant,
        channel=channel,
        event="test",
        at=now,
        not_before=now,
        snapshot=None,
    )


test_notice.__test__ = False  # type: ignore[attr-defined]  # not for pytest, whatever its name


class _History:
    """What was told, in order."""

    def __init__(self, told: Mapping[str, float]) -> None:
        self.entries = sorted(((at, Key.parse(key)) for key, at in told.items()), key=_order)
        self._keys = set(told)

    def add(self, key: Key, at: float) -> bool:
        """Note it; ``False`` when it was told before."""
        if str(key) in self._keys:
            return False
        self._keys.add(str(key))
        self.entries.append((at, key))
        return True

    def standing(self) -> list[str]:
        """Channels for which the incident stands: told of it, and not told that it is over; the first told first."""
        channels: dict[str, None] = {}
        for _, key in self.entries:
            if key.event in TELLING:
                channels.setdefault(key.channel)
            elif key.event == "resolved":
                channels.pop(key.channel, None)
        return list(channels)

    def flapping(self, channel: str) -> bool:
        """Whether the channel's last word is that it flaps."""
        last = [key.event for _, key in self.entries if key.channel == channel and key.event in {*TELLING, "resolved"}]
        return last[-1:] == ["flapping"]

    def held(self, channel: str, quiet: QuietSettings | None, now: float) -> bool:
        """Whether the last message to a channel, if it was about a ticket, still waits for the end of the quiet."""
        told = [at for at, key in self.entries if key.channel == channel and key.event in {*TELLING, "joined"}]
        return quiet is not None and bool(told) and quiet_until(quiet, told[-1]) > now


def _order(entry: tuple[float, Key]) -> tuple[float, float]:
    at, key = entry
    return at, math.inf if key.event in _BY_TIME else key.cause


def _called_for(
    transition: Transition, incident: Incident, route: RouteSettings | None, history: _History, now: float
) -> list[tuple[str, str]]:
    """Events and channels, each channel once."""
    standing = history.standing()
    match transition.tell:
        case "opened" | "reopened" as event:
            return [(event, channel) for channel in dict.fromkeys([*_first(route), *standing])]
        case "flapping":
            channels = dict.fromkeys([*_first(route), *standing])
            return [("flapping", channel) for channel in channels if not history.flapping(channel)]
        case "acknowledged" | "resolved" as event:
            return [(event, channel) for channel in standing]
        case "joined":
            quiet = route.quiet if route is not None else None
            held = {channel for channel in standing if history.held(channel, quiet, now)}
            urgent = _released(route, incident, now) <= now
            # What is held back is written when it is sent, and names whoever has joined by then.
            told = [("joined", channel) for channel in standing if channel not in held]
            if incident.state not in _CLIMBING:
                return told
            return told + [
                ("opened", channel)
                for channel in _first(route)
                if channel not in standing or (urgent and channel in held and incident.severity == "page")
            ]
        case _:
            return []


def _first(route: RouteSettings | None) -> list[str]:
    """Channels of the steps without a delay."""
    steps = route.steps if route is not None else ()
    return list(dict.fromkeys(channel for step in steps if step.after <= 0 for channel in step.channels))


def _released(route: RouteSettings | None, incident: Incident, now: float) -> float:
    """When something decided at ``now`` may be sent."""
    if route is None or route.quiet is None:
        return now
    urgent = incident.severity == "page" and "severity" not in route.match
    return now if urgent else quiet_until(route.quiet, now)


def _by_time(incident: Incident, event: str, channels: Iterable[str], step: int, number: int) -> list[Key]:
    return [
        Key(incident=incident.id, cause=incident.reopenings, event=event, channel=channel, step=step, number=number)
        for channel in dict.fromkeys(channels)
    ]


def _notice(key: Key, incident: Incident, now: float, not_before: float) -> Notice:
    return Notice(
        key=str(key),
        incident=incident.id,
        tenant=incident.tenant,
        channel=key.channel,
        event=key.event,
        at=now,
        not_before=not_before,
        snapshot=incident,
    )
