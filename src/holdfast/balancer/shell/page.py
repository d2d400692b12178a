"""The page at ``/admin/backends``: one table per pool, rendered here, no script.

It refreshes itself with a ``meta`` element, so that the strict content security policy
needs no exception and the page works in any browser, a text one included.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from holdfast.balancer.core.explain import BackendSnapshot, Explanation, PoolSnapshot
from holdfast.balancer.core.messages import BackendRef

REFRESH_S: Final = 2

_HEAD: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{REFRESH_S}">
<title>Backends · Holdfast</title>
<link rel="stylesheet" href="/admin/style.css">
</head>
<body>
<header><h1>Holdfast <span>balancer</span></h1>
<nav><a href="/admin/config">configuration</a> <a href="/admin/events">events</a> <a href="/metrics">metrics</a>
<a href="/schema">API</a></nav></header>
<main>
"""
_FOOT: Final = "</main>\n</body>\n</html>\n"
_COLUMNS: Final = (
    "backend",
    "state",
    "weight",
    "penalty",
    "breaker",
    "success",
    "in flight",
    "latency",
    "why",
)


def backends_page(
    pools: Mapping[str, PoolSnapshot], strategies: Mapping[str, str], explanations: Mapping[BackendRef, Explanation]
) -> str:
    """The whole page. Every value that comes from outside is escaped."""
    sections = [_pool(pool, strategies.get(name, ""), explanations) for name, pool in pools.items()]
    return _HEAD + "".join(sections) + _FOOT


def _pool(pool: PoolSnapshot, strategy: str, explanations: Mapping[BackendRef, Explanation]) -> str:
    taking = sum(1 for backend in pool.backends if backend.in_rotation)
    summary = f"{taking} of {len(pool.backends)} in rotation · {strategy}"
    if pool.panic:
        summary += f" · panic: only {pool.share_in_rotation:.0%} of the weight is sound"
    heads = "".join(f'<th scope="col">{column}</th>' for column in _COLUMNS)
    rows = "".join(_row(backend, explanations[BackendRef(pool.pool, backend.id)]) for backend in pool.backends)
    if not rows:
        rows = f'<tr><td colspan="{len(_COLUMNS)}">This pool has no backends.</td></tr>'
    return (
        f"<section>\n<h2>{escape(pool.pool)} <small>{escape(summary)}</small></h2>\n"
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</section>\n"
    )


def _row(backend: BackendSnapshot, explanation: Explanation) -> str:
    nominal = backend.configured_weight if backend.override_weight is None else backend.override_weight
    success = "–" if backend.success_ratio is None else f"{backend.success_ratio:.1%} of {backend.volume}"
    why = " ".join(reason.text for reason in explanation.reasons) or "Nothing speaks against it."
    cells = (
        (f"{backend.weight:.3g} of {nominal:.3g}", "number"),
        (f"{backend.penalty:.0f}", "number"),
        (backend.breaker.replace("_", "-"), ""),
        (success, "number"),
        (str(backend.in_flight), "number"),
        ("–" if backend.latency_s is None else f"{backend.latency_s * 1000:.1f} ms", "number"),
        (why, "why"),
    )
    rest = "".join(
        f'<td data-label="{column}" class="{kind}">{escape(text)}</td>'
        for column, (text, kind) in zip(_COLUMNS[2:], cells, strict=True)
    )
    state = f'<span class="state {backend.state}">{backend.state.replace("_", "-")}</span>'
    since = f"<small>for {_span(backend.since_s)}</small>"
    return (
        f'<tr><th scope="row">{escape(backend.id)} <small>{escape(backend.url)}</small></th>'
        f'<td data-label="state">{state} {since}</td>{rest}</tr>\n'
    )


def _span(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"
