"""Gatus' YAML (``config/config.go`` of version 5): ``endpoints`` and ``external-endpoints``.

Gatus, too, takes variables from the environment, so ``${NAME}`` and ``$NAME`` stay what they are.
"""

from __future__ import annotations

import re
from typing import Any, Final

from holdfast.kernel import Duration
from holdfast.netpulse.core.forms import split_address
from holdfast.netpulse.core.importing.conditions import Wanted
from holdfast.netpulse.core.importing.draft import Draft, Entry, Secret, shown
from holdfast.netpulse.core.importing.http import (
    header_fields,
    is_reference,
    private,
    request_body,
    request_url,
    sent,
)
from holdfast.netpulse.core.importing.remarks import Imported
from holdfast.netpulse.core.importing.source import Misread, Place, read_yaml
from holdfast.netpulse.errors import Invalid

_INTERVAL_S: Final = 60.0
_TIMEOUT_S: Final = 10.0
_REDIRECTS: Final = 10
"""Gatus' defaults, and that of Go's client."""
_DOLLAR: Final = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*)|)")
_CLIENT: Final = ("insecure", "ignore-redirect", "timeout")
_OWN: Final = (
    "debug",
    "metrics",
    "storage",
    "security",
    "web",
    "ui",
    "concurrency",
    "disable-monitoring-lock",
    "skip-invalid-config-update",
)
"""Of Gatus as a program; nothing that is watched is in them."""
_FIELDS: Final = frozenset(
    {
        "name", "group", "enabled", "url", "method", "body", "graphql", "headers", "extra-labels", "interval",
        "conditions", "alerts", "maintenance-windows", "dns", "ssh", "client", "ui", "token", "heartbeat",
    }
)  # fmt: skip
"""Of an endpoint; ``ui`` says how it is shown."""
_ELSEWHERE: Final = {
    "maintenance": "write it under `maintenance`",
    "announcements": "people write on the status page from an incident's page",
    "remote": "other instances are not asked: import their files, too",
    "connectivity": "agents watch canaries: write its target under `agents.canaries`",
    "tunneling": "targets are not asked through tunnels: put an agent where they can be reached",
    "suites": "steps that build on each other have no counterpart: write their requests as monitors",
}


def read_gatus(text: str, file: str, *, keep_rules: bool = False) -> Imported:
    """Take a configuration over. Raises :class:`~holdfast.netpulse.errors.Invalid` when it is none."""
    root = read_yaml(text, file)
    try:
        if not isinstance(root.value, dict) or not {"endpoints", "external-endpoints", "services"} & root.value.keys():
            raise Invalid(f"{file}: not a configuration of Gatus: it has no endpoints")
        draft = Draft(
            notation=_notation, reserved=frozenset(found[1] or found[2] or "" for found in _DOLLAR.finditer(text))
        )
        providers = _alerting(draft, root)
        for place in [*root["endpoints"].items(), *root["services"].items()]:  # what they were called before 4.0
            _take(draft, place, providers, keep_rules=keep_rules)
        for place in root["external-endpoints"].items():
            _take(draft, place, providers, keep_rules=False, external=True)
        for key in root.entries():
            if key in _ELSEWHERE:
                draft.note("dropped", key, _ELSEWHERE[key])
            elif key not in (*_OWN, "endpoints", "services", "external-endpoints", "alerting") and not key.startswith(
                "x-"
            ):
                draft.note("dropped", shown(key, 40), "not known here")
    except Misread as error:
        raise Invalid(f"{file}: {error}") from error
    return draft.finish("Gatus")


def _notation(text: str) -> str:
    return _DOLLAR.sub(lambda found: f"${{{found[1] or found[2]}}}" if found[1] or found[2] else "$$", text)


def _alerting(draft: Draft, root: Place) -> dict[str, Place]:
    """Default alerts by provider."""
    found: dict[str, Place] = {}
    for name, place in root["alerting"].entries().items():
        draft.note("dropped", place, f"write a channel for {shown(name, 30)}, and a route")
        if isinstance(place.value, dict):
            found[name] = place["default-alert"]
    return found


def _take(draft: Draft, place: Place, providers: dict[str, Place], *, keep_rules: bool, external: bool = False) -> None:
    def read(place: Place, entry: Entry) -> None:
        if group := shown(place["group"].text()):
            entry.settings["group"] = group
        if not place["enabled"].flag(default=True):
            entry.settings["paused"] = True
        if labels := _labels(place, entry):
            entry.settings["tags"] = labels
        if external:
            _external(place, entry)
        else:
            _endpoint(place, entry)
        _alerts(place, entry, providers, keep=keep_rules)
        for key, value in place.entries().items():
            if key not in _FIELDS and not key.startswith("x-"):
                entry.dropped(value, "not known here")
        if place["maintenance-windows"].items():
            entry.dropped(place["maintenance-windows"], "write them under `maintenance`, with `match: {monitor: ID}`")

    try:
        name = place["name"].text()
    except Misread as error:
        draft.note("refused", error.path, error.message)
        return
    draft.take(place, read, name=name)


def _labels(place: Place, entry: Entry) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in place["extra-labels"].texts().items():
        if name in {"monitor", "group", "severity", "condition"}:
            entry.dropped(place["extra-labels"], f"the label {name} has a meaning of its own here")
        else:
            found[name] = value
    return found


def _endpoint(place: Place, entry: Entry) -> None:
    text = place["url"].text().strip()
    if not place["dns"].absent:
        wanted, check = Wanted(entry, "dns"), _dns(place, entry, text)
    else:
        scheme, _, rest = text.partition("://")
        kind = _KINDS.get(scheme.lower())
        if kind is None:
            entry.refuse(f"{shown(scheme, 20) or 'nothing'}:// has no counterpart{_HINTS.get(scheme.lower(), '')}")
        wanted = Wanted(entry, kind)
        check = _http(place, entry, text) if kind == "http" else _simple(place, entry, kind, scheme.lower(), rest, text)
    for condition in place["conditions"].items():
        wanted.read(condition)
    entry.settings[wanted.kind] = {**check, **wanted.settings()}
    client = place["client"]
    entry.cadence(
        place["interval"].span(_INTERVAL_S),
        min(client["timeout"].span(_TIMEOUT_S), place["interval"].span(_INTERVAL_S)),
        place,
    )
    for key, value in client.entries().items():
        if key not in _CLIENT and value.value not in (None, "false", "ip", {}):
            entry.dropped(value, "the probe has no such setting")


_KINDS: Final = {
    "http": "http",
    "https": "http",
    "tcp": "tcp",
    "ssh": "tcp",
    "tls": "tls",
    "icmp": "icmp",
    "ws": "websocket",
    "wss": "websocket",
    "grpc": "grpc",
    "grpcs": "grpc",
}
_HINTS: Final = {
    "starttls": ": the nearest is a tcp check that expects the greeting",
    "udp": ": only a program knows whether a datagram arrived",
    "sctp": "",
    "domain": ": the registration of domains is not looked at",
}


def _http(place: Place, entry: Entry, text: str) -> dict[str, Any]:
    check = request_url(entry, place["url"], text)
    if (method := place["method"].text("GET").upper()) != "GET":
        check["method"] = method
    path = place["headers"].path
    headers = header_fields(
        entry, ((name, value, f"{path}.{name}") for name, value in place["headers"].texts().items())
    )
    body = place["body"].text()
    if re.search(r"\[(?:ENDPOINT_(?:NAME|GROUP|URL)|RANDOM_STRING_[0-9]+|CONTEXT)\]", body):
        entry.dropped(place["body"], "placeholders in the body are sent as they stand")
    if place["graphql"].flag():
        body = '{"query":"' + body.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"}'
        headers.setdefault("Content-Type", "application/json")
    if headers:
        check["headers"] = headers
    if body:
        check["body"] = request_body(body, place["body"].path)
    client = place["client"]
    check["redirects"] = 0 if client["ignore-redirect"].flag() else _REDIRECTS
    if client["insecure"].flag():
        check["verify"] = False
    return check


def _simple(place: Place, entry: Entry, kind: str, scheme: str, rest: str, text: str) -> dict[str, Any]:
    """The checks that are a host and little more."""
    address = rest.split("/", 1)[0]
    body = place["body"].text()
    if kind == "websocket":
        check = request_url(entry, place["url"], text)
        if "username" in check:
            entry.refuse("its URL has credentials, which a websocket check cannot send")
        if place["headers"].entries():
            entry.dropped(place["headers"], "a websocket check has no header fields")
        if place["client"]["insecure"].flag():
            check["verify"] = False
        return {**check, "send": sent(body, place["body"].path)} if body else check
    if kind == "icmp":
        private(entry, address)
        return {"host": address.strip("[]")}
    if scheme == "ssh" and ":" not in address:
        address += ":22"
    private(entry, address.rpartition(":")[0])
    if scheme == "ssh":
        entry.changed(place["ssh"], "nobody logs in and nothing is run: the greeting of the server is waited for")
        return {"address": address, "expect": "SSH-"}
    if kind == "grpc":
        return {"address": address, "tls": scheme == "grpcs"}
    if body and kind == "tcp":
        return {"address": address, "send": sent(body, place["body"].path)}
    if kind == "tls" and place["client"]["insecure"].flag():
        entry.changed(place["client"]["insecure"], "a tls check always judges the certificate")
    return {"address": address}


def _dns(place: Place, entry: Entry, text: str) -> dict[str, Any]:
    query = place["dns"]
    resolver = re.sub(r"^[a-z]+://", "", text)
    host = resolver
    if resolver.count(":") == 1 or resolver.startswith("["):
        try:
            host, port = split_address(resolver)
        except ValueError as error:
            entry.refuse(f"its resolver is {error}")
        resolver = host if port == 53 else resolver
    private(entry, host)
    kind = query["query-type"].text("A").upper()
    if kind not in ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"):
        entry.refuse(f"records of type {shown(kind, 20)} are not asked for")
    return {"name": query["query-name"].text().rstrip("."), "type": kind, "resolver": resolver}


def _external(place: Place, entry: Entry) -> None:
    period = place["heartbeat"]["interval"].span()
    if not period:
        entry.refuse("results are pushed to it at no stated interval: add `heartbeat.interval`, or write it by hand")
    token = place["token"].text()
    entry.settings["heartbeat"] = {
        "period": str(Duration(period)),
        "token": token if is_reference(token) else Secret("", "TOKEN", place["token"].path, fresh=True),
    }
    entry.changed(place, "let the job call /v1/heartbeats/TOKEN; what it says of failures there is not read")


def _alerts(place: Place, entry: Entry, providers: dict[str, Place], *, keep: bool) -> None:
    failures: list[int] = []
    for alert in place["alerts"].items():
        default = providers.get(alert["type"].text(), Place(None))
        threshold = alert["failure-threshold"].whole(default["failure-threshold"].whole(3))
        success = alert["success-threshold"].whole(default["success-threshold"].whole(2))
        if not alert["enabled"].flag(default=default["enabled"].flag(default=True)):
            continue
        failures.append(threshold)
        if keep and success != threshold:
            entry.changed(alert, f"it recovers after {threshold} successes in a row, not {success}")
    if not failures:
        return
    if keep:
        entry.settings["rule"] = {"regions": 1, "in_a_row": min(max(min(failures), 1), 100)}
    else:
        entry.draft.general(
            "alerts' thresholds: the detector decides when enough is known; --keep-rules keeps the counting"
        )
