"""What a decoder cannot see: ranges, references and combinations of gateway settings.

Pure: a function from settings to the list of everything that is wrong with them. Key files, ports and authorities are
looked at where they are opened.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from holdfast.gateway.core.settings import (
    AdmissionSettings,
    CacheSettings,
    CanarySettings,
    DeploymentSettings,
    ExecutionToolSettings,
    GatewaySettings,
    GraderSettings,
    GuardSettings,
    HealthSettings,
    HedgeSettings,
    LedgerSettings,
    LimitSettings,
    LogSettings,
    McpSettings,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
    RetrySettings,
    SemanticSettings,
    SessionSettings,
    ShadowSettings,
    TimeoutSettings,
    ToolSettings,
    TraceSettings,
)
from holdfast.gateway.core.tools import schema_fault
from holdfast.gateway.core.wire.presets import PRESETS
from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Path, Problem, Section

_MINUTE: Final = Duration(60.0)
_HOUR: Final = Duration(3600.0)
_DAY: Final = Duration(86400.0)
_YEARS: Final = Duration(10 * 366 * 86400.0)
_KIB: Final = Size(1024)
_MIB: Final = Size(1024 * 1024)
_GIB: Final = Size(1024 * 1024 * 1024)
_MONEY: Final = (0.0, 1e9)

RANGES: Final[dict[type[Section], dict[str, tuple[float, float]]]] = {
    PriceSettings: dict.fromkeys(
        ("input", "output", "cache_read", "cache_write", "cache_write_long", "per_image", "per_request"),
        (0.0, 1000000.0),
    ),
    ProviderSettings: {"max_in_flight": (1, 1_000_000)},
    DeploymentSettings: {
        "weight": (0.0, 1e6),
        "tier": (0, 100),
        "context": (1, 1_000_000_000),
        "max_output": (1, 1_000_000_000),
        "bytes_per_token": (0.5, 16.0),
        "tokens_in_flight": (1, 1_000_000_000_000),
        "first_token_timeout": (Duration(0.01), _HOUR),
    },
    CanarySettings: {
        "percent": (0.0, 100.0),
        "minimum_requests": (1, 1_000_000),
        "max_error_ratio": (1.0, 1000.0),
        "max_latency_ratio": (1.0, 1000.0),
        "max_cost_ratio": (1.0, 1000.0),
        "min_score": (0.0, 1.0),
    },
    ShadowSettings: {"percent": (0.0, 100.0), "max_in_flight": (1, 1024)},
    HedgeSettings: {
        "quantile": (0.5, 0.999),
        "extra_percent": (0.0, 100.0),
        "minimum_samples": (1, 100_000),
        "least": (Duration(0.001), _MINUTE),
    },
    ModelSettings: {"timeout": (Duration(0.1), _DAY)},
    TimeoutSettings: {
        "request": (Duration(0.1), _DAY),
        "answer": (Duration(0.1), _DAY),
        "connect": (Duration(0.01), _MINUTE),
        "first_token": (Duration(0.01), _HOUR),
        "stall": (Duration(0.01), _HOUR),
        "whole": (Duration(0.01), _DAY),
        "keep_alive": (Duration(0.1), _HOUR),
        "client": (Duration(0.1), _HOUR),
    },
    RetrySettings: {
        "attempts": (1, 20),
        "budget_percent": (0.0, 1000.0),
        "budget_floor_per_s": (0.0, 10_000.0),
        "backoff_base": (Duration(0.0), _MINUTE),
        "backoff_cap": (Duration(0.0), _HOUR),
    },
    HealthSettings: {
        "consecutive": (1, 1000),
        "success_ratio": (0.0, 1.0),
        "minimum_volume": (1, 1_000_000),
        "window": (Duration(1.0), _HOUR),
        "open_min": (Duration(0.1), _HOUR),
        "open_max": (Duration(0.1), _DAY),
        "trials": (1, 100),
        "trial_successes": (1, 100),
        "ramp": (Duration(0.0), _HOUR),
        "rate_limit_pause": (Duration(0.01), _HOUR),
        "longest_pause": (Duration(1.0), _DAY),
    },
    AdmissionSettings: {
        "queue": (0, 1_000_000),
        "queue_timeout": (Duration(0.0), _HOUR),
        "batch_share": (0.0, 1.0),
        "max_in_flight": (1, 1_000_000),
    },
    LimitSettings: {
        "requests_per_minute": (0, 1_000_000_000),
        "tokens_per_minute": (0, 1_000_000_000_000),
        "daily_usd": _MONEY,
        "monthly_usd": _MONEY,
    },
    LedgerSettings: {
        "sync": (Duration(0.0), _MINUTE),
        "fold": (Duration(0.01), _MINUTE),
        "lease_usd": (0.000001, 1e6),
        "lease_time": (Duration(1.0), _DAY),
        "retention": (_DAY, _YEARS),
    },
    SemanticSettings: {"threshold": (0.0, 1.0)},
    CacheSettings: {"ttl": (Duration(1.0), _YEARS), "entries": (1, 10_000_000), "size": (_KIB, Size(64 * _GIB))},
    GuardSettings: {
        "injection_score": (0.0, 1.0),
        "max_input": (Size(1), _GIB),
        "max_output": (Size(1), _GIB),
        "hold_back": (16, 65_536),
    },
    McpSettings: {"timeout": (Duration(0.1), _HOUR)},
    ToolSettings: {"timeout": (Duration(0.1), _HOUR)},
    ExecutionToolSettings: {"cpu": (Duration(0.1), _HOUR), "memory": (Size(8 * _MIB), Size(64 * _GIB))},
    SessionSettings: {
        "max_steps": (1, 1000),
        "max_usd": _MONEY,
        "timeout": (Duration(1.0), _DAY),
        "concurrent": (1, 10_000),
        "retention": (_HOUR, _YEARS),
    },
    GraderSettings: {"weight": (0.0, 1e6)},
    LogSettings: {"sample": (0.0, 1.0), "bound": (Size(64), _MIB)},
    TraceSettings: {"sample": (0.0, 1.0)},
    GatewaySettings: {
        "max_body": (_KIB, _GIB),
        "max_answer": (_KIB, Size(4 * _GIB)),
        "connections": (1, 1_000_000),
        "drain_timeout": (Duration(0.0), _HOUR),
    },
}
"""Lowest and highest value of each figure, both allowed."""

ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_MODEL: Final = re.compile(r"[A-Za-z0-9@][A-Za-z0-9._:/@+-]{0,199}")
_SCOPED: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}/[^/\s]{1,100}")


def validate(settings: GatewaySettings) -> list[Problem]:
    """Everything that is wrong with the section; empty means sound."""
    return [
        *ranges((), settings),
        *_providers(settings),
        *_models(settings),
        *_limits(settings),
        *_tools(settings),
        *_references(settings),
        *_anonymous(settings),
    ]


def is_loopback(listen: str) -> bool:
    """Whether nobody but this machine can reach an address."""
    host = listen.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ranges(path: Path, value: object) -> Iterator[Problem]:
    """What is out of its range in a section and all that is in it."""
    if isinstance(value, Section):
        for name, (low, high) in RANGES.get(type(value), {}).items():
            figure = getattr(value, name)
            if figure is not None and not (math.isfinite(figure) and low <= figure <= high):
                yield _problem((*path, name), figure, "out of range", f"write a value from {low} to {high}")
        for name in value.__struct_fields__:
            yield from ranges((*path, name), getattr(value, name))
    elif isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, Section):
                yield from ranges((*path, name), each)
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            if isinstance(each, Section):
                yield from ranges((*path, index), each)


def _providers(settings: GatewaySettings) -> Iterator[Problem]:
    for name, provider in settings.providers.items():
        path: Path = ("providers", name)
        if not ID.fullmatch(name):
            yield _problem(path, name, "not a name", "use letters, digits, dots, colons, hyphens and underscores")
        preset = PRESETS.get(name)
        url = provider.url or (preset.url if preset is not None else None)
        if provider.protocol is None and preset is None:
            remedy = "write openai, anthropic, gemini or bedrock; most servers that are none of these speak openai"
            yield _problem((*path, "protocol"), None, f"missing, and {name!r} is no known provider", remedy)
        if url is None:
            yield _problem((*path, "url"), None, f"missing, and {name!r} is no known provider", "write its base URL")
        else:
            private = provider.private or (preset is not None and preset.private and provider.url is None)
            yield from _url((*path, "url"), url.replace("{region}", provider.region or "region"), private)
            if "{region}" in url and provider.region is None:
                yield _problem((*path, "region"), None, "missing", "write the region whose endpoint is to be used")
        if provider.key is not None and provider.key_file is not None:
            yield _problem((*path, "key_file"), provider.key_file, "a key is given as well", "give one of the two")
        auth = provider.auth or (preset.auth if preset is not None else "bearer")
        if auth not in ("none", "sigv4") and not (provider.key or provider.key_file or provider.private):
            yield _problem((*path, "key"), None, "missing", "give key or key_file, or auth: none")
        if auth == "sigv4" and not (provider.access_key_id and (provider.key or provider.key_file)):
            missing = "key" if provider.access_key_id else "access_key_id"
            yield _problem((*path, missing), None, "missing", "give access_key_id and, as key, its secret")


def _url(path: Path, url: str, private: bool) -> Iterator[Problem]:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        yield _problem(path, url, "not an address", "write http://HOST:PORT/PATH or https://HOST/PATH")
        return
    if parts.username or parts.query or parts.fragment:
        yield _problem(path, url, "has more than scheme, host and path", "give keys as key, queries as query")
    if not private and (parts.scheme == "http" or host == "localhost" or _is_private(host)):
        yield _problem(
            path, url, "not a public https address", "set private: true if this is meant: keys go there unprotected"
        )


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _models(settings: GatewaySettings) -> Iterator[Problem]:
    for name, model in settings.models.items():
        path: Path = ("models", name)
        if not _MODEL.fullmatch(name):
            yield _problem(path, name, "not a name", "use letters, digits and . _ : / @ + -")
        if not model.deployments:
            yield _problem((*path, "deployments"), None, "empty", "name a provider and its model")
        if model.deployments and not any(each.weight > 0 for each in model.deployments):
            yield _problem((*path, "deployments"), None, "none has weight", "give one a weight above 0")
        entries: list[tuple[Path, DeploymentSettings]] = [
            ((*path, "deployments", index), each) for index, each in enumerate(model.deployments)
        ]
        if model.canary is not None:
            entries.append(((*path, "canary", "deployment"), model.canary.deployment))
        if model.shadow is not None:
            entries.append(((*path, "shadow", "deployment"), model.shadow.deployment))
        for at, entry in entries:
            if entry.provider not in settings.providers:
                known = ", ".join(settings.providers) or "none"
                yield _problem((*at, "provider"), entry.provider, f"no such provider (known: {known})", "add it")
        for index, other in enumerate(model.fallbacks):
            at = (*path, "fallbacks", index)
            if other not in settings.models:
                yield _problem(at, other, "no such model", "name one of this section")
            elif other == name:
                yield _problem(at, other, "is the model itself", "name another")


def _limits(settings: GatewaySettings) -> Iterator[Problem]:
    for section in ("teams", "users"):
        for name in getattr(settings.limits, section):
            if not _SCOPED.fullmatch(name):
                yield _problem(
                    ("limits", section, name), name, "names no tenant", f"write TENANT/{section[:-1].upper()}"
                )
    if settings.retry.backoff_cap < settings.retry.backoff_base:
        yield _problem(
            ("retry", "backoff_cap"),
            settings.retry.backoff_cap,
            "shorter than backoff_base",
            "raise it",
        )
    if settings.health.open_max < settings.health.open_min:
        yield _problem(("health", "open_max"), settings.health.open_max, "shorter than open_min", "raise it")
    if settings.timeouts.answer > settings.timeouts.request:
        yield _problem(
            ("timeouts", "answer"), settings.timeouts.answer, "longer than the whole request may take", "lower it"
        )


def _tools(settings: GatewaySettings) -> Iterator[Problem]:
    for section, names in (("tools", settings.tools), ("mcp", settings.mcp)):
        for name in names:
            if not ID.fullmatch(name):
                remedy = "use letters, digits, dots, colons, hyphens and underscores"
                yield _problem((section, name), name, "not a name", remedy)
    for name, tool in settings.tools.items():
        path: Path = ("tools", name)
        if (fault := schema_fault(tool.input)) is not None:
            yield _problem((*path, "input"), None, fault, "write a JSON Schema of an object that is whole in itself")
        if (tool.http is not None) == tool.execution:
            yield _problem(path, None, "is neither or both", "give exactly one of http and execution: true")
        if tool.execution and settings.execution is None:
            yield _problem((*path, "execution"), True, "nobody runs programs", "add gateway.execution with url and key")
        if tool.http is not None:
            yield from _url((*path, "http", "url"), tool.http.url, tool.http.private)
    for name, server in settings.mcp.items():
        if (server.url is not None) == bool(server.command):
            yield _problem(("mcp", name), None, "is neither or both", "give exactly one of url and command")
        if server.url is not None:
            yield from _url(("mcp", name, "url"), server.url, server.private)
    if settings.execution is not None and not settings.execution.key:
        yield _problem(("execution", "key"), None, "missing", "give a key with the scopes jobs:read and jobs:write")


def _references(settings: GatewaySettings) -> Iterator[Problem]:
    for name, model in settings.models.items():
        if model.guardrails is not None and model.guardrails not in settings.guardrails:
            yield _problem(("models", name, "guardrails"), model.guardrails, "no such policy", "add it to guardrails")
        canary = model.canary
        if canary is not None and canary.evaluation is not None and canary.evaluation not in settings.evaluations:
            at = ("models", name, "canary", "evaluation")
            yield _problem(at, canary.evaluation, "no such evaluation", "add it to evaluations")
        if canary is not None and canary.min_score is not None and canary.evaluation is None:
            yield _problem(
                ("models", name, "canary", "min_score"), canary.min_score, "nothing scores", "add evaluation"
            )
    for path, model_name in (
        (("sessions", "model"), settings.sessions.model),
        (("briefs", "model"), settings.briefs.model),
        (("cache", "semantic", "model"), settings.cache.semantic.model if settings.cache.semantic else None),
    ):
        if model_name is not None and model_name not in settings.models and "/" not in model_name:
            yield _problem(path, model_name, "no such model", "name one of models, or PROVIDER/MODEL")
    for name, evaluation in settings.evaluations.items():
        if not evaluation.graders:
            yield _problem(("evaluations", name, "graders"), None, "empty", "add a grader")


def _anonymous(settings: GatewaySettings) -> Iterator[Problem]:
    if settings.anonymous is not None and not is_loopback(settings.listen):
        yield Problem(
            path=("anonymous",),
            value=None,
            message=f"whoever reaches {settings.listen} could spend money without a key",
            remedy="listen on 127.0.0.1, or remove anonymous and make keys with `holdfast key create`",
            related=(("listen",),),
        )


def _problem(path: Path, value: object, message: str, remedy: str) -> Problem:
    return Problem(path=path, value=value, message=message, remedy=remedy)
