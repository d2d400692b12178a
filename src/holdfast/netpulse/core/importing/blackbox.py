"""blackbox_exporter's modules (``CONFIGURATION.md`` of 0.25), each asked of the targets that Prometheus has for it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from holdfast.netpulse.core.forms import split_address
from holdfast.netpulse.core.importing.draft import Draft, Entry, Secret, shown
from holdfast.netpulse.core.importing.http import (
    header_fields,
    password,
    patterns,
    private,
    request_body,
    request_url,
    sent,
    statuses,
    token,
    without_credentials,
)
from holdfast.netpulse.core.importing.prometheus import Target, targets
from holdfast.netpulse.core.importing.remarks import Imported
from holdfast.netpulse.core.importing.source import Misread, Place, read_yaml
from holdfast.netpulse.errors import Invalid

_REDIRECTS: Final = 10
"""That the exporter follows."""
_OFFSET_S: Final = 0.5
"""What the exporter keeps of Prometheus' timeout for itself (``--timeout-offset``)."""
_KNOWN: Final = {
    "http": {
        "valid_status_codes", "method", "headers", "body", "follow_redirects", "no_follow_redirects", "fail_if_ssl",
        "fail_if_not_ssl", "fail_if_body_matches_regexp", "fail_if_body_not_matches_regexp", "tls_config", "basic_auth",
        "authorization", "bearer_token", "bearer_token_file",
    },
    "tcp": {"query_response", "tls", "tls_config"},
    "dns": {"query_name", "query_type", "valid_rcodes", "recursion_desired", "query_class"},
    "icmp": set[str](),
    "grpc": {"service", "tls", "tls_config"},
}  # fmt: skip
"""Settings that are looked at; each other one is dropped and said to be."""
_HARMLESS: Final = {"ip_protocol_fallback", "enable_http2", "enable_http3", "skip_resolve_phase_with_proxy"}
_CONTROL: Final = re.compile(r"[.*+?()\[\]{}|^$\\]")


def read_blackbox(modules: str, file: str, prometheus: str, prometheus_file: str) -> Imported:
    """Take modules and targets over. Raises :class:`~holdfast.netpulse.errors.Invalid` when a file is another's."""
    tree = read_yaml(modules, file)
    world = read_yaml(prometheus, prometheus_file)
    draft = Draft()
    try:
        if not isinstance(tree.value, dict) or "modules" not in tree.value:
            raise Invalid(f"{file}: not a configuration of blackbox_exporter: it has no modules")
        known = tree["modules"].entries()
    except Misread as error:
        raise Invalid(f"{file}: {error}") from error
    try:
        if not isinstance(world.value, dict) or "scrape_configs" not in world.value:
            raise Invalid(f"{prometheus_file}: not a configuration of Prometheus: it has no scrape_configs")
        used: set[str] = set()
        for target in targets(draft, world):
            used.add(target.module)
            _take(draft, target, known)
    except Misread as error:
        raise Invalid(f"{prometheus_file}: {error}") from error
    for name in known.keys() - used:
        draft.note("note", known[name], "no target is probed by this module")
    return draft.finish("blackbox_exporter")


def _take(draft: Draft, target: Target, modules: dict[str, Place]) -> None:
    def read(place: Place, entry: Entry) -> None:
        module = modules.get(target.module)
        if module is None:
            entry.refuse(f"its module {shown(target.module, 40)} is not among the modules")
        if target.job:
            entry.settings["group"] = shown(target.job)
        if target.labels:
            entry.settings["tags"] = {
                ("x-" + key if key in {"monitor", "group", "severity", "condition"} else key): value
                for key, value in target.labels.items()
            }
        prober = module["prober"].text()
        reader = _PROBERS.get(prober)
        if reader is None:
            entry.refuse(f"the prober {shown(prober, 20) or 'of its module is missing, which'} has no counterpart")
        settings = module[prober]
        reader(entry, target, settings)
        timeout = module["timeout"].span() or target.timeout - _OFFSET_S
        entry.cadence(target.interval, max(0.1, min(timeout, target.timeout, target.interval)), place)
        for key, value in settings.entries().items():
            if key not in _KNOWN[prober] and key not in _HARMLESS and value.value not in (None, "false", [], {}):
                entry.dropped(value, "the probe has no such setting")

    name = target.place.value if isinstance(target.place.value, str) else ""
    draft.take(target.place, read, name=without_credentials(name))


def _http(entry: Entry, target: Target, module: Place) -> None:
    text = target.place.text().strip()
    check = request_url(entry, target.place, text if "://" in text else f"http://{text}")
    if (method := module["method"].text("GET").upper()) != "GET":
        check["method"] = method
    if codes := [each.whole() for each in module["valid_status_codes"].items()]:
        check["status"] = statuses(codes)
    path = module["headers"].path
    headers = header_fields(
        entry, ((name, value, f"{path}.{name}") for name, value in module["headers"].texts().items())
    )
    _authorize(module, check, headers)
    if headers:
        check["headers"] = headers
    if body := module["body"].text():
        check["body"] = request_body(body, module["body"].path)
    follows = module["follow_redirects"].flag(default=True) and not module["no_follow_redirects"].flag()
    check["redirects"] = _REDIRECTS if follows else 0
    wanted = [each.text() for each in module["fail_if_body_not_matches_regexp"].items()]
    unwanted = [each.text() for each in module["fail_if_body_matches_regexp"].items()]
    if wanted or unwanted:
        check["regex"] = patterns(wanted, unwanted)
    _tls(entry, module, check)
    secure = urlsplit(text).scheme == "https"
    if module["fail_if_ssl"].flag():
        entry.dropped(module["fail_if_ssl"], "an answer over TLS is well, too")
    if module["fail_if_not_ssl"].flag() and not secure:
        entry.dropped(module["fail_if_not_ssl"], "an answer without TLS is well, too: write https:// in the target")
    entry.settings["http"] = check


def _authorize(module: Place, check: dict[str, Any], headers: dict[str, Any]) -> None:
    basic, kind = module["basic_auth"], module["authorization"]
    if not basic.absent:
        check["username"] = basic["username"].text()
        file = basic["password_file"]
        check["password"] = password(basic["password"]) if file.absent else Secret("", "PASSWORD", file.path)
    for place, file in (
        (kind["credentials"], kind["credentials_file"]),
        (module["bearer_token"], module["bearer_token_file"]),
    ):
        if place.absent and file.absent:
            continue
        credentials = token(place) if file.absent else Secret("", "TOKEN", file.path)
        scheme = kind["type"].text("Bearer")
        if scheme.lower() == "bearer":
            check["bearer_token"] = credentials
        elif isinstance(credentials, Secret):
            headers["Authorization"] = Secret(credentials.value, "AUTHORIZATION", credentials.path, before=f"{scheme} ")


def _tls(entry: Entry, module: Place, check: dict[str, Any], *, verify: bool = True) -> None:
    config = module["tls_config"]
    if verify and config["insecure_skip_verify"].flag():
        check["verify"] = False
    if ca_file := config["ca_file"].text():
        check["ca_file"] = ca_file
        entry.draft.general("ca_file: has to be where the agents run")
    for key in ("cert_file", "key_file", "cert", "key"):
        if not config[key].absent:
            entry.dropped(config[key], "no client certificate is shown")
    for key in ("min_version", "max_version"):
        if not config[key].absent:
            entry.dropped(config[key], "the version of TLS is not bound")


def _tcp(entry: Entry, target: Target, module: Place) -> None:
    address = target.place.text().strip()
    private(entry, address.rpartition(":")[0])
    steps = module["query_response"].items()
    if module["tls"].flag():
        if steps:
            entry.dropped(module["query_response"], "inside TLS nothing is said: the handshake is the check")
        check: dict[str, Any] = {"address": address}
        if name := module["tls_config"]["server_name"].text():
            check["server_name"] = name
        _tls(entry, module, check, verify=False)
        if module["tls_config"]["insecure_skip_verify"].flag():
            entry.changed(module["tls_config"]["insecure_skip_verify"], "a tls check always judges the certificate")
        entry.settings["tls"] = check
        return
    check = {"address": address}
    said = [each["send"].text() for each in steps]
    heard = [each["expect"].text() for each in steps]
    if any(each["starttls"].flag() for each in steps):
        entry.dropped(
            module["query_response"], "TLS inside the dialogue is not spoken: only the greeting is waited for"
        )
    if len(steps) > 1 and not (len(steps) == 2 and said[0] and heard[1] and not heard[0] and not said[1]):
        entry.dropped(module["query_response"], "a dialogue is one line each way here: only its beginning is kept")
        said, heard = said[:1], heard[:1]
    sending, expected = next(filter(None, said), ""), next(filter(None, heard), "")
    if expected:
        if (plain := _plain(expected)) is None:
            entry.dropped(module["query_response"], "an answer is compared with a text, not with a pattern")
        else:
            check["expect"] = plain
    if sending and not (heard and heard[0]):
        check["send"] = sent(f"{sending}\n", module["query_response"].path)
    entry.settings["tcp"] = check


def _plain(pattern: str) -> str | None:
    r"""The text that a pattern stands for, if it is one: ``^SSH-2\.0-`` is ``SSH-2.0-``."""
    text = pattern.removeprefix("^")
    bare = re.sub(r"\\([^\w\s])", "", text)
    if _CONTROL.search(bare.replace(".", "")):
        return None
    return re.sub(r"\\([^\w\s])", r"\1", text) or None


def _dns(entry: Entry, target: Target, module: Place) -> None:
    resolver = re.sub(r"^[a-z]+://", "", target.place.text().strip())
    host, port = resolver, 53
    if resolver.count(":") == 1 or resolver.startswith("["):
        try:
            host, port = split_address(resolver)
        except ValueError as error:
            entry.refuse(f"the resolver is {error}")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        entry.refuse("the resolver is a name: write its address as the target")
    private(entry, host)
    kind = module["query_type"].text("ANY").upper()
    if kind == "ANY":
        entry.changed(module["query_type"], "ANY is not asked for (RFC 8482): A is")
        kind = "A"
    if kind not in ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"):
        entry.refuse(f"records of type {shown(kind, 20)} are not asked for")
    if [each.text() for each in module["valid_rcodes"].items()] not in ([], ["NOERROR"]):
        entry.refuse("only an answer is well: an error as the right answer has no counterpart")
    entry.settings["dns"] = {
        "name": module["query_name"].text().rstrip("."),
        "type": kind,
        "resolver": host if port == 53 else resolver,
    }


def _icmp(entry: Entry, target: Target, _: Place) -> None:
    host = target.place.text().strip().strip("[]")
    private(entry, host)
    entry.settings["icmp"] = {"host": host}


def _grpc(entry: Entry, target: Target, module: Place) -> None:
    address = re.sub(r"^[a-z]+://", "", target.place.text().strip())
    private(entry, address.rpartition(":")[0])
    check: dict[str, Any] = {"address": address, "tls": module["tls"].flag()}
    if service := module["service"].text():
        check["service"] = service
    _tls(entry, module, check)
    entry.settings["grpc"] = check


_PROBERS: Final[dict[str, Callable[[Entry, Target, Place], None]]] = {
    "http": _http,
    "tcp": _tcp,
    "dns": _dns,
    "icmp": _icmp,
    "grpc": _grpc,
}
