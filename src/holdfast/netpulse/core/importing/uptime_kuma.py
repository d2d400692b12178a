"""Uptime Kuma's JSON backup (*Settings*, *Backup*, *Export*; version 1, removed in 2.0).

``{"version", "notificationList", "monitorList", "proxyList"}``. A monitor says every field of its table
(``server/model/monitor.js`` of 1.23), those of other types as null; header fields and accepted codes are JSON inside
JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from holdfast.kernel import Duration
from holdfast.netpulse.core.forms import RANGES
from holdfast.netpulse.core.importing.draft import Draft, Entry, Secret, counted, shown
from holdfast.netpulse.core.importing.http import (
    header_fields,
    json_path,
    password,
    patterns,
    private,
    request_body,
    request_url,
    statuses,
    wanted_value,
)
from holdfast.netpulse.core.importing.remarks import Imported
from holdfast.netpulse.core.importing.source import Misread, Place, read_json
from holdfast.netpulse.core.settings import MonitorSettings
from holdfast.netpulse.errors import Invalid

_CODES: Final = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_MEDIA_TYPES: Final = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "xml": "text/xml; charset=utf-8",
}
_RECORDS: Final = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")
_CHANNELS: Final = {
    "slack": "slack",
    "smtp": "email",
    "pagerduty": "pagerduty",
    "discord": "discord",
    "telegram": "telegram",
    "teams": "teams",
    "ntfy": "ntfy",
    "webhook": "webhook",
    "alerta": "webhook",
}
_NO_COUNTERPART: Final = {
    "docker": "containers are not asked; watch what the container serves",
    "real-browser": "no browser is started; watch the page with an http check",
    "steam": "game servers are not asked",
    "gamedig": "game servers are not asked",
    "mqtt": "MQTT is not spoken; the nearest is a tcp check of its port",
    "kafka-producer": "Kafka is not spoken; the nearest is a tcp check of its port",
    "radius": "RADIUS is not spoken",
    "tailscale-ping": "Tailscale is not asked; the nearest is an icmp check from an agent inside that network",
    **dict.fromkeys(
        ("sqlserver", "postgres", "mysql", "mongodb", "redis"),
        "databases are not logged into; the nearest is a tcp check of its port",
    ),
}


def read_uptime_kuma(text: str, file: str, *, keep_rules: bool = False) -> Imported:
    """Take a backup over. Raises :class:`~holdfast.netpulse.errors.Invalid` when it is none."""
    root = read_json(text, file)
    try:
        if not isinstance(root.value, dict) or "monitorList" not in root.value:
            raise Invalid(f"{file}: not a backup of Uptime Kuma: there is no monitorList; export one in its settings")
        monitors = root["monitorList"].items()
        groups = _groups(monitors)
        draft = Draft()
        for place in monitors:
            _take(draft, place, groups, keep_rules=keep_rules)
        _notifications(draft, root, monitors)
        if root["proxyList"].items():
            draft.note("dropped", "proxyList", "proxies are not used: put an agent where the target can be reached")
    except Misread as error:
        raise Invalid(f"{file}: {error}") from error
    return draft.finish("Uptime Kuma")


def _groups(monitors: list[Place]) -> dict[int, str]:
    found: dict[int, str] = {}
    for place in monitors:
        if (
            isinstance(place.value, dict)
            and place.value.get("type") == "group"
            and isinstance(place.value.get("id"), int)
        ):
            found[place.value["id"]] = shown(str(place.value.get("name") or ""))
    return found


def _take(draft: Draft, place: Place, groups: dict[int, str], *, keep_rules: bool) -> None:
    try:
        kind, name = place["type"].text(), place["name"].text()
    except Misread as error:
        draft.note("refused", error.path, error.message)
        return
    if kind == "group":
        return

    def read(place: Place, entry: Entry) -> None:
        reader = _KINDS.get(kind)
        if reader is None:
            hint = _NO_COUNTERPART.get(kind, "write it by hand")
            entry.refuse(f"the type {shown(kind, 40) or 'of nothing'} has no counterpart: {hint}")
        if place["upsideDown"].flag():
            entry.refuse("it is upside down (well while the target is not), which has no counterpart")
        if (group := groups.get(place["parent"].whole(-1))) is not None:
            entry.settings["group"] = group
        if tags := _tags(place, entry):
            entry.settings["tags"] = tags
        if not place["active"].flag(default=True):
            entry.settings["paused"] = True
        reader(place, entry)
        if kind != "push":
            _cadence(place, entry)
        _rule(place, entry, keep=keep_rules)
        if place["description"].text():
            draft.general("description: monitors have none")
        if place["proxyId"].value:
            entry.dropped(place["proxyId"], "it went through a proxy, and now goes without")

    draft.take(place, read, name=name)


def _cadence(place: Place, entry: Entry) -> None:
    interval = place["interval"].seconds(60.0)
    # Four fifths of the interval is what versions before 1.23 waited, and the default since.
    timeout = place["timeout"].seconds() or min(interval * 0.8, RANGES[MonitorSettings]["timeout"][1])
    entry.cadence(interval, min(timeout, interval), place)
    retry = place["retryInterval"].seconds(interval)
    if retry != interval:
        entry.draft.general("retryInterval: other regions ask at once after a first failure, whatever the interval")


def _rule(place: Place, entry: Entry, *, keep: bool) -> None:
    retries = place["maxretries"].whole()
    if keep and entry.settings.get("heartbeat") is None:
        entry.settings["rule"] = {"regions": 1, "in_a_row": min(max(retries, 0) + 1, 100)}
    elif retries:
        entry.draft.general("maxretries: the detector decides when enough is known; --keep-rules keeps the counting")
    if place["resendInterval"].whole():
        entry.draft.general("resendInterval: say `repeat` in a route")


def _tags(place: Place, entry: Entry) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in place["tags"].items():
        name = re.sub(r"[^A-Za-z0-9_.\-]+", "-", each["name"].text().strip()).strip("-.")[:63]
        if (
            not name
            or not (name[0].isalpha() or name[0] == "_")
            or name in {"monitor", "group", "severity", "condition"}
        ):
            name = f"tag-{name}".rstrip("-")
        if name in found:
            entry.dropped(each, f"a second tag {name}")
        else:
            found[name] = shown(each["value"].text()) or "true"
    return found


def _http(place: Place, entry: Entry) -> None:
    method = place["method"].text("GET").upper()
    check = {**request_url(entry, place["url"], place["url"].text()), "method": method}
    headers = _headers(place, entry)
    if body := place["body"].text().strip():
        encoding = place["httpBodyEncoding"].text("json") or "json"
        if not any(name.lower() == "content-type" for name in headers) and encoding in _MEDIA_TYPES:
            headers["Content-Type"] = _MEDIA_TYPES[encoding]
        check["body"] = request_body(body, place["body"].path)
    if headers:
        check["headers"] = headers
    _authentication(place, entry, check)
    redirects = place["maxredirects"].whole(10)
    check["redirects"] = min(max(redirects, 0), 20)
    if redirects > 20:
        entry.changed(place["maxredirects"], f"{redirects} redirects become 20")
    if (status := _status(place, entry)) != ("2xx",):
        check["status"] = status
    if place["ignoreTls"].flag():
        check["verify"] = False
    if not place["expiryNotification"].flag() and not place["url"].text().strip().lower().startswith("http:"):
        check["cert_days"] = 0
    entry.settings["http"] = {name: value for name, value in check.items() if (name, value) != ("method", "GET")}


def _keyword(place: Place, entry: Entry) -> None:
    _http(place, entry)
    keyword = place["keyword"].text()
    if not keyword:
        entry.dropped(place["keyword"], "there is no keyword")
    elif place["invertKeyword"].flag():
        entry.settings["http"]["regex"] = patterns((), (re.escape(keyword),))
    else:
        entry.settings["http"]["contains"] = keyword


def _json_query(place: Place, entry: Entry) -> None:
    _http(place, entry)
    query = place["jsonPath"].text().strip()
    path = json_path(query, names=r"[A-Za-z_][A-Za-z0-9_]*") if query else None
    operator = place["jsonPathOperator"].text("==")
    if path is None or operator != "==":
        what = f"the JSONata query {shown(query, 60)}" if path is None else f"the comparison {shown(operator, 10)}"
        entry.dropped(
            place["jsonPath"], f"{what} has no counterpart: the body is not looked at; write `jsonpath` by hand"
        )
        return
    entry.settings["http"]["jsonpath"] = path
    if expected := place["expectedValue"].text():
        where = place["expectedValue"].path
        entry.settings["http"]["equals"] = wanted_value(path.rpartition(".")[2], expected, where)


def _headers(place: Place, entry: Entry) -> dict[str, object]:
    text = place["headers"].text().strip()
    if not text:
        return {}
    try:
        fields = read_json(text, "").entries()
    except (Invalid, Misread):
        raise Misread(place["headers"].path, "not a JSON object of header fields") from None
    path = place["headers"].path
    return dict(header_fields(entry, ((name, value.text(), f"{path}.{name}") for name, value in fields.items())))


def _authentication(place: Place, entry: Entry, check: dict[str, object]) -> None:
    # Versions before 1.18 had no authMethod: a user name was enough.
    method = place["authMethod"].text() or ("basic" if place["basic_auth_user"].text() else "")
    if method == "basic":
        check["username"] = place["basic_auth_user"].text()
        check["password"] = password(place["basic_auth_pass"])
    elif method:
        entry.dropped(
            place["authMethod"], f"{shown(method, 20)} authentication is not spoken: the request goes without"
        )


def _status(place: Place, entry: Entry) -> tuple[str, ...]:
    codes: set[int] = set()
    for each in place["accepted_statuscodes"].items():
        match = _CODES.fullmatch(each.text().strip())
        if match is None:
            entry.dropped(each, "not a status code or a range of them")
        else:
            codes.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return statuses(codes) or ("2xx",)


def _host(place: Place, entry: Entry) -> str:
    host = place["hostname"].text().strip()
    private(entry, host)
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _port(place: Place, entry: Entry) -> None:
    entry.settings["tcp"] = {"address": f"{_host(place, entry)}:{place['port'].whole()}"}


def _ping(place: Place, entry: Entry) -> None:
    entry.settings["icmp"] = {"host": _host(place, entry).strip("[]")}
    if place["packetSize"].whole(56) != 56:
        entry.draft.general("packetSize: echo requests have a size of their own")


def _dns(place: Place, entry: Entry) -> None:
    kind = place["dns_resolve_type"].text("A").upper()
    if kind not in _RECORDS:
        entry.refuse(f"records of type {shown(kind, 20)} are not asked for")
    check: dict[str, object] = {"name": place["hostname"].text().strip().rstrip("."), "type": kind}
    servers = [each.strip() for each in place["dns_resolve_server"].text().split(",") if each.strip()]
    if servers:
        port = place["port"].whole(53) or 53
        host = servers[0]
        plain = port == 53
        check["resolver"] = host if plain else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        private(entry, host)
    if len(servers) > 1:
        entry.dropped(place["dns_resolve_server"], "only the first resolver is asked; write a monitor for each")
    entry.settings["dns"] = check


def _push(place: Place, entry: Entry) -> None:
    period = place["interval"].seconds(60.0)
    late = place["maxretries"].whole() * place["retryInterval"].seconds(period)
    entry.settings["heartbeat"] = {
        "period": str(Duration(period)),
        "grace": str(Duration(min(max(late, 10.0), 7 * 86_400.0))),
        "token": Secret("", "TOKEN", place["pushToken"].path, fresh=True),
    }
    entry.changed(place["pushToken"], "let the job call /v1/heartbeats/TOKEN, with the token that you make")


def _grpc(place: Place, entry: Entry) -> None:
    service, method = place["grpcServiceName"].text(), place["grpcMethod"].text()
    if service.rpartition(".")[2].lower() != "health" or method.lower() != "check":
        entry.refuse(
            f"it calls {shown(service, 40)}/{shown(method, 40)}; only the gRPC health protocol is spoken: "
            "serve it there, and write a grpc check"
        )
    address = re.sub(r"^(?:https?|grpcs?|dns)://+", "", place["grpcUrl"].text().strip())
    entry.settings["grpc"] = {"address": address, "tls": place["grpcEnableTls"].flag()}
    private(entry, address.rpartition(":")[0])
    if place["ignoreTls"].flag():
        entry.settings["grpc"]["verify"] = False
    if place["grpcBody"].text().strip() not in ("", "{}"):
        entry.dropped(place["grpcBody"], "the whole server is asked for, not one service: say `service` if it was")


_KINDS: Final[dict[str, Callable[[Place, Entry], None]]] = {
    "http": _http,
    "keyword": _keyword,
    "json-query": _json_query,
    "port": _port,
    "ping": _ping,
    "dns": _dns,
    "push": _push,
    "grpc-keyword": _grpc,
}


def _notifications(draft: Draft, root: Place, monitors: list[Place]) -> None:
    used: dict[str, int] = {}
    for monitor in monitors:
        ids = monitor["notificationIDList"].value if isinstance(monitor.value, dict) else None
        for id in ids if isinstance(ids, (dict, list)) else ():
            used[str(id)] = used.get(str(id), 0) + 1
    for place in root["notificationList"].items():
        name, kind = shown(place["name"].text(), 60), ""
        config = place["config"]
        if isinstance(config.value, str):
            try:
                kind = read_json(config.value, "")["type"].text()
            except (Invalid, Misread):
                kind = ""
        kind = shown(kind or place["type"].text(), 30)
        channel = _CHANNELS.get(kind.lower())
        count = used.get(place["id"].text(), 0)
        remedy = f"write a channel of kind {channel}" if channel else "write a channel, for instance a webhook"
        draft.note(
            "dropped",
            place,
            f'the notification "{name}" ({kind or "of no type"}), used by {counted(count)}: {remedy} and a route',
        )
