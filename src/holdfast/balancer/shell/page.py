"""The page at ``/admin/backends``: one table per pool, rendered here, no script.

It refreshes itself with a ``meta`` element, so that the strict content security policy
needs no exception and the page works in any browser, a text one included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from holdfast.balancer.core.decisions import BackendStatus

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


def backends_page(pools: Mapping[str, Sequence[BackendStatus]], strategies: Mapping[str, str]) -> str:
    """The whole page. Every value that comes from outside is escaped."""
    sections = [_pool(name, backends, strategies.get(name, "")) for name, backends in pools.items()]
    return _HEAD + "".join(sections) + _FOOT


def _pool(name: str, backends: Sequence[BackendStatus], strategy: str) -> str:
    taking = sum(1 for backend in backends if backend.effective_weight > 0)
    summary = f"{taking} of {len(backends)} take traffic · {strategy}"
    heads = "".join(f'<th scope="col">{column}</th>' for column in _COLUMNS)
    rows = "".join(_row(backend) for backend in backends)
    if not rows:
        rows = f'<tr><td colspan="{len(_COLUMNS)}">This pool has no backends.</td></tr>'
    return (
        f"<section>\n<h2>{escape(name)} <small>{escape(summary)}</small></h2>\n"
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</section>\n"
    )


def _row(backend: BackendStatus) -> str:
    state = escape(backend.state, quote=True)
    weight = f"{backend.effective_weight:.3g} of {backend.weight:.3g}"
    success = "–" if backend.success_ratio is None else f"{backend.success_ratio:.1%}"
    latency = "–" if backend.latency_s is None else f"{backend.latency_s * 1000:.1f} ms"
    cells = (
        (weight, "number"),
        (f"{backend.penalty:.0f}", "number"),
        (backend.breaker.replace("_", "-"), ""),
        (success, "number"),
        (str(backend.in_flight), "number"),
        (latency, "number"),
        (backend.why, "why"),
    )
    rest = "".join(
        f'<td data-label="{column}" class="{kind}">{escape(text)}</td>'
        for column, (text, kind) in zip(_COLUMNS[2:], cells, strict=True)
    )
    return (
        f'<tr><th scope="row">{escape(backend.backend)} <small>{escape(backend.url)}</small></th>'
        f'<td data-label="state"><span class="state {state}">{state.replace("_", "-")}</span></td>{rest}</tr>\n'
    )
