"""What a decoder cannot see: ranges, forms, references and combinations of NetPulse settings.

Pure: a function from settings to the list of everything that is wrong with them. Files, ports and what the machine
can do are looked at elsewhere. The API judges the monitors that it is given by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from holdfast.kernel.settings import Path, Problem
from holdfast.netpulse.core.flapping import policy
from holdfast.netpulse.core.forms import ID, address, matcher, problem, ranges, split_address, url, zone
from holdfast.netpulse.core.maintenance import problems
from holdfast.netpulse.core.monitors import KINDS, kind_of, validate_monitor
from holdfast.netpulse.core.settings import (
    AgentSettings,
    ChannelSettings,
    IncidentSettings,
    MaintenanceSettings,
    MonitorSettings,
    NetpulseSettings,
    QuietSettings,
    RetentionSettings,
)

__all__ = [
    "CHANNEL_KINDS",
    "KINDS",
    "MOST_MONITORS",
    "channel_kind",
    "circles",
    "kind_of",
    "split_address",
    "validate",
    "validate_maintenance",
    "validate_monitor",
]

CHANNEL_KINDS: Final = (
    "webhook",
    "slack",
    "email",
    "pagerduty",
    "discord",
    "telegram",
    "teams",
    "ntfy",
    "alertmanager",
)
_MAIL: Final = re.compile(r"[^@\s<>\"]{1,64}@[^@\s<>\"]{1,255}")
MOST_MONITORS: Final = 20_000
_CLOCK: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")


def validate(settings: NetpulseSettings) -> list[Problem]:
    """Everything that is wrong with the section; empty means sound."""
    known = settings.monitors.keys()
    found = [
        *ranges((), settings),
        *_names(settings),
        *_listeners(settings),
        *_canaries(settings.agents),
        *(
            each
            for name, monitor in settings.monitors.items()
            for each in validate_monitor(name, monitor, settings, known=known, path=("monitors", name))
        ),
        *_circles({name: monitor.depends_on for name, monitor in settings.monitors.items()}),
        *_tokens(settings.monitors),
        *_channels(settings),
        *_routes(settings),
        *(
            each
            for name, window in settings.maintenance.items()
            for each in validate_maintenance(window, path=("maintenance", name))
        ),
        *_flapping(settings.incidents),
        *_retention(settings.retention),
        *_status(settings),
    ]
    if len(settings.monitors) > MOST_MONITORS:
        found.append(problem(("monitors",), None, f"more than {MOST_MONITORS}", "run a second engine for the rest"))
    return found


def channel_kind(channel: ChannelSettings) -> str:
    """Which of :data:`CHANNEL_KINDS` it is."""
    return next(kind for kind in CHANNEL_KINDS if getattr(channel, kind) is not None)


def validate_maintenance(window: MaintenanceSettings, *, path: Path = ()) -> list[Problem]:
    """What is wrong with one maintenance window."""
    found = [*ranges(path, window), *matcher((*path, "match"), window.match)]
    return found or [replace(each, path=(*path, *each.path)) for each in problems(window)]


def circles(parents: Mapping[str, Collection[str]]) -> list[tuple[str, ...]]:
    """Circles in a graph of dependencies, each once, beginning with its smallest name."""
    found: dict[tuple[str, ...], None] = {}
    done: set[str] = set()
    for root in sorted(parents):
        trail: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = [(root, iter(sorted(parents[root])))] if root not in done else []
        if stack:
            trail.append(root)
        while stack:
            name, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                stack.pop()
                trail.pop()
                done.add(name)
            elif step in trail:
                circle = trail[trail.index(step) :]
                first = circle.index(min(circle))
                found[tuple(circle[first:] + circle[:first])] = None
            elif step in parents and step not in done:
                stack.append((step, iter(sorted(parents[step]))))
                trail.append(step)
    return list(found)


def _names(settings: NetpulseSettings) -> Iterator[Problem]:
    remedy = "use up to 64 lower-case letters, digits, dots, hyphens and underscores"
    for section in ("regions", "channels", "maintenance"):
        for name in getattr(settings, section):
            if not ID.fullmatch(name):
                yield problem((section, name), name, "not a name", remedy)
    for name, region in settings.regions.items():
        if region.domain and not ID.fullmatch(region.domain):
            yield problem(("regions", name, "domain"), region.domain, "not a name", remedy)
    if not ID.fullmatch(settings.tenant):
        yield problem(("tenant",), settings.tenant, "not a name", remedy)


def _listeners(settings: NetpulseSettings) -> Iterator[Problem]:
    yield from address(("listen",), settings.listen, zero=True)
    yield from address(("agents", "listen"), settings.agents.listen, zero=True)
    if settings.agents.engine:
        yield from url(("agents", "engine"), settings.agents.engine, ("https",))
    for name in ("public_url", "console_url"):
        if getattr(settings, name):
            yield from url((name,), getattr(settings, name), ("http", "https"))
    for name in ("certificates", "spool"):
        if not getattr(settings.agents, name):
            yield problem(("agents", name), "", "no directory", "write the path of a directory")


def _canaries(agents: AgentSettings) -> Iterator[Problem]:
    for index, canary in enumerate(agents.canaries):
        path: Path = ("agents", "canaries", index)
        if bool(canary.tcp) == bool(canary.http):
            yield problem(path, None, "not exactly one of tcp and http", "write `{tcp: HOST:PORT}` or `{http: URL}`")
        elif canary.tcp:
            yield from address((*path, "tcp"), canary.tcp)
        else:
            yield from url((*path, "http"), canary.http, ("http", "https"))


def _circles(parents: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    for circle in circles(parents):
        message = f"depends on itself: {' -> '.join((*circle, circle[0]))}"
        yield problem(("monitors", circle[0], "depends_on"), None, message, "take one of these dependencies out")


def _tokens(monitors: Mapping[str, MonitorSettings]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name, monitor in monitors.items():
        if monitor.heartbeat is None:
            continue
        path: Path = ("monitors", name, "heartbeat", "token")
        token = monitor.heartbeat.token
        if not token:
            yield problem(path, None, "missing", "a heartbeat of the file needs one: token: ${NAME}")
        elif token in seen:
            yield problem(path, "***", f"the same as that of {seen[token]}", "give each its own")
        seen[token] = name


def _channels(settings: NetpulseSettings) -> Iterator[Problem]:
    for name, channel in settings.channels.items():
        path: Path = ("channels", name)
        yield from ranges(path, channel)
        kinds = [kind for kind in CHANNEL_KINDS if getattr(channel, kind) is not None]
        if len(kinds) != 1:
            message = "no kind of channel" if not kinds else f"more than one kind: {', '.join(kinds)}"
            yield problem(path, None, message, f"write exactly one of {', '.join(CHANNEL_KINDS)}")
            continue
        (kind,) = kinds
        inner = getattr(channel, kind)
        for field in ("url", "webhook_url"):
            if hasattr(inner, field):
                yield from url((*path, kind, field), getattr(inner, field), ("http", "https"))
        if channel.email is not None:
            yield from address((*path, kind, "server"), channel.email.server)
            for field, mail in (("sender", channel.email.sender), *(("to", each) for each in channel.email.to)):
                if not _MAIL.fullmatch(mail):
                    yield problem((*path, kind, field), mail, "not a mail address", "write NAME@HOST")
            if not channel.email.to:
                yield problem((*path, kind, "to"), None, "nobody to write to", "write at least one address")
        if channel.ntfy is not None and not re.fullmatch(r"[A-Za-z0-9_\-]{1,64}", channel.ntfy.topic):
            yield problem((*path, kind, "topic"), channel.ntfy.topic, "not a topic", "use letters, digits, - and _")
        if channel.backoff_min > channel.backoff_max:
            yield problem((*path, "backoff_min"), channel.backoff_min, "more than backoff_max", "lower it")


def _routes(settings: NetpulseSettings) -> Iterator[Problem]:
    everything_at: int | None = None
    for index, route in enumerate(settings.routes):
        path: Path = ("routes", index)
        yield from ranges(path, route)
        yield from matcher((*path, "match"), route.match)
        if everything_at is not None:
            remedy = "move the route without `match` to the end"
            yield problem(path, None, f"never reached: route {everything_at} takes everything", remedy)
        if not route.match:
            everything_at = index
        if not route.steps:
            yield problem((*path, "steps"), None, "nobody is told", "add a step with channels")
        for number, step in enumerate(route.steps):
            yield from ranges((*path, "steps", number), step)
            for place, name in enumerate(step.channels):
                if name not in settings.channels:
                    remedy = f"known: {', '.join(settings.channels) or 'none; add it to channels'}"
                    yield problem((*path, "steps", number, "channels", place), name, "no such channel", remedy)
            if number and step.after <= route.steps[number - 1].after:
                yield problem(
                    (*path, "steps", number, "after"), step.after, "not later than the step before", "raise it"
                )
        if route.quiet is not None:
            yield from _quiet((*path, "quiet"), route.quiet)


def _quiet(path: Path, quiet: QuietSettings) -> Iterator[Problem]:
    for name in ("start", "end"):
        if not _CLOCK.fullmatch(getattr(quiet, name)):
            yield problem((*path, name), getattr(quiet, name), "not a time of day", "write HH:MM, like 22:00")
    if quiet.start == quiet.end:
        yield problem((*path, "end"), quiet.end, "the same as start", "write the time at which it ends")
    yield from zone((*path, "timezone"), quiet.timezone)


def _flapping(incidents: IncidentSettings) -> Iterator[Problem]:
    path: Path = ("incidents", "flap_reuse")
    if incidents.flap_reuse >= incidents.flap_suppress:
        remedy = "lower it, or nothing would ever stay damped"
        yield problem(path, incidents.flap_reuse, "not below flap_suppress", remedy, ("incidents", "flap_suppress"))
    elif (
        incidents.flap_reuse * 2 ** min(1000.0, incidents.flap_max / incidents.flap_half_life)
        <= incidents.flap_suppress
    ):
        remedy = "raise it: the longest damping is too short to reach flap_suppress"
        yield problem(("incidents", "flap_max"), incidents.flap_max, "too short", remedy)
    else:
        try:
            policy(incidents)
        except ValueError:
            remedy = "raise flap_half_life, or lower it: even what fails every 10 s would never gather so much"
            related = ("incidents", "flap_half_life")
            yield problem(("incidents", "flap_suppress"), incidents.flap_suppress, "never reached", remedy, related)


def _retention(retention: RetentionSettings) -> Iterator[Problem]:
    for less, more in (("raw", "minutes"), ("minutes", "hours"), ("hours", "days")):
        low, high = getattr(retention, less), getattr(retention, more)
        if low > high:
            yield problem(
                ("retention", less),
                low,
                f"longer than {more} ({high})",
                f"lower {less} or raise {more}",
                ("retention", more),
            )


def _status(settings: NetpulseSettings) -> Iterator[Problem]:
    status = settings.status
    if status is None:
        return
    yield from address(("status", "listen"), status.listen, zero=True)
    if status.url:
        yield from url(("status", "url"), status.url, ("http", "https"))
    if not status.directory:
        yield problem(("status", "directory"), "", "no directory", "write the path of a directory")
    for index, group in enumerate(status.groups):
        for place, name in enumerate(group.monitors):
            path: Path = ("status", "groups", index, "monitors", place)
            if name not in settings.monitors:
                yield problem(path, name, "no such monitor", "write the id of a monitor")
            elif not settings.monitors[name].public:
                yield problem(path, name, "not public", f"set monitors.{name}.public: true")
    channel = settings.channels.get(status.subscribe_channel) if status.subscribe_channel else None
    if status.subscribe_channel and (channel is None or channel.email is None):
        path = ("status", "subscribe_channel")
        yield problem(path, status.subscribe_channel, "no e-mail channel", "write the name of one")
