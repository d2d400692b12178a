"""A monitor's settings as they are shown: secrets as ``***``, which a PUT takes for "as it was".

A secret is kept only while it goes where it went before. Otherwise whoever may edit a monitor, but not see its
password, could have it sent to an address of their own.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from holdfast.kernel.settings import Problem
from holdfast.netpulse.core.settings import HttpCheck, MonitorSettings, WebSocketCheck
from holdfast.netpulse.shell.api.bodies import plain
from holdfast.telemetry.logs import MASK, is_secret_name

_FIELDS: Final = ("password", "bearer_token")
_REMEDY: Final = "write it again: what is kept goes only where it went before, over a connection that is as safe"


def masked(spec: MonitorSettings) -> dict[str, Any]:
    """For JSON, without what was left at its default."""
    shown = spec
    if spec.http is not None:
        http = spec.http
        changes: dict[str, Any] = {name: MASK for name in _FIELDS if getattr(http, name)}
        changes["headers"] = {name: MASK if is_secret_name(name) else value for name, value in http.headers.items()}
        shown = _with(shown, http=msgspec.structs.replace(http, url=_without_password(http.url), **changes))
    if spec.websocket is not None:
        socket = spec.websocket
        shown = _with(shown, websocket=msgspec.structs.replace(socket, url=_without_password(socket.url)))
    if spec.heartbeat is not None and spec.heartbeat.token:
        shown = _with(shown, heartbeat=msgspec.structs.replace(spec.heartbeat, token=MASK))
    return _stated(shown)


def unmasked(spec: MonitorSettings, old: MonitorSettings | None) -> tuple[MonitorSettings, list[Problem]]:
    """What a PUT means, and what is wrong about its masks. ``old`` is what there was."""
    problems: list[Problem] = []
    if spec.http is not None:
        http, problems = _http(spec.http, old.http if old is not None else None)
        spec = _with(spec, http=http)
    if spec.websocket is not None and MASK in spec.websocket.url:
        before = old.websocket if old is not None else None
        if before is None or not _same_socket(spec.websocket, before):
            problems.append(_wrong("websocket", "url"))
        else:
            spec = _with(spec, websocket=msgspec.structs.replace(spec.websocket, url=before.url))
    if spec.heartbeat is not None and spec.heartbeat.token in {"", MASK}:
        # Without one, too: the same PUT twice gives the same monitor.
        token = old.heartbeat.token if old is not None and old.heartbeat is not None else ""
        if spec.heartbeat.token == MASK and not token:
            problems.append(_wrong("heartbeat", "token"))
        spec = _with(spec, heartbeat=msgspec.structs.replace(spec.heartbeat, token=token))
    return spec, problems


def _http(http: HttpCheck, old: HttpCheck | None) -> tuple[HttpCheck, list[Problem]]:
    names = [name for name in _FIELDS if getattr(http, name) == MASK]
    headers = [name for name, value in http.headers.items() if value == MASK]
    in_url = MASK in http.url
    if not (names or headers or in_url):
        return http, []
    same = old is not None and _as_safe(http, old)
    problems = [_wrong("http", name) for name in names if not same or not getattr(old, name)]
    problems += [
        _wrong("http", "headers", name) for name in headers if not same or name not in (old.headers if old else {})
    ]
    if in_url and (not same or old is None or _without_password(old.url) != http.url):
        problems.append(_wrong("http", "url"))
    if problems or old is None:
        return http, problems
    changes: dict[str, Any] = {name: getattr(old, name) for name in names}
    if headers:
        changes["headers"] = {
            name: old.headers[name] if name in headers else value for name, value in http.headers.items()
        }
    if in_url:
        changes["url"] = old.url
    return msgspec.structs.replace(http, **changes), []


def _as_safe(http: HttpCheck, old: HttpCheck) -> bool:
    """Whether the request goes where it went, and the other side is checked as strictly."""
    return _origin(http.url) == _origin(old.url) and http.verify >= old.verify and http.ca_file == old.ca_file


def _same_socket(check: WebSocketCheck, old: WebSocketCheck) -> bool:
    return (check.url, check.verify, check.ca_file) == (_without_password(old.url), old.verify, old.ca_file)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    try:
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return parts.scheme, None, None


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    who, at, where = parts.netloc.rpartition("@")
    if not at:
        return url
    user, colon, _ = who.partition(":")
    return urlunsplit(parts._replace(netloc=f"{user if colon else MASK}{f':{MASK}' if colon else ''}@{where}"))


def _wrong(*path: str) -> Problem:
    return Problem(path=path, value=None, message=f"{MASK} stands for nothing here", remedy=_REMEDY)


def _with(spec: MonitorSettings, **changes: HttpCheck | WebSocketCheck | Any) -> MonitorSettings:
    return msgspec.structs.replace(spec, **changes)


def _stated(value: msgspec.Struct) -> dict[str, Any]:
    """Fields that are not at their defaults, as JSON has them."""
    found = {}
    for field in msgspec.structs.fields(value):
        held = getattr(value, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if held != default:
            found[field.name] = _stated(held) if isinstance(held, msgspec.Struct) else plain(held)
    return found
