"""The pages on NetPulse say what the code does, where a machine can compare the two."""

from __future__ import annotations

import ast
import asyncio
import re
import time
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any, cast

from holdfast.identity import ROLES, Scope
from holdfast.netpulse.shell.api import exports, front, heartbeats, operations, quiet, service
from holdfast.netpulse.shell.api.app import application
from holdfast.netpulse.shell.api.links import LASTS_S, Links
from holdfast.netpulse.shell.api.metrics import Metrics
from holdfast.netpulse.shell.api.problems import TYPES
from holdfast.netpulse.shell.api.service import Service
from holdfast.testing.netpulse import ScriptedNetpulse
from tests.unit.house.asking import Endpoint, Nobody, ask
from tests.unit.house.pages import ROOT, calls, codes, rows, section

API = (ROOT / "docs" / "netpulse-api.md").read_text()
OPEN = "*open*"
ANY = "*any key*"
TOKEN = "*the token*"


@cache
def endpoints() -> Mapping[Endpoint, str]:
    """Every endpoint of the OpenAPI document, with the scope that it asks for first."""

    async def scenario() -> Mapping[Endpoint, str]:
        netpulse = ScriptedNetpulse(clock=time.time)
        made = Service(
            netpulse,
            netpulse.records,
            identities=cast("Any", Nobody()),
            links=Links(bytes(32), str, clock=time.time),
            clock=time.time,
            rng=Random(1),
        )
        door = application(made)
        document = (await ask(door, Endpoint("GET", "/openapi.json"), key=False)).body
        found = {}
        for path, item in document["paths"].items():
            for method, operation in item.items():
                endpoint = Endpoint(method.upper(), path)
                if operation.get("security") == []:
                    found[endpoint] = TOKEN if "{token}" in path else OPEN
                    assert (await ask(door, endpoint, key=False)).status != 401
                    continue
                assert (await ask(door, endpoint, key=False)).status == 401
                refused = await ask(door, Endpoint(endpoint.method, path.replace("{id}", "web")))
                scope = re.search(r"lacks the scope '([a-z:]+)'", str(refused.body))
                found[endpoint] = scope[1] if scope else ANY if refused.status == 200 else f"{refused.status}"
        return found

    return asyncio.run(scenario())


def described() -> dict[Endpoint, str]:
    return {
        Endpoint(method, path): (codes(row[1]) or [row[1]])[0]
        for row in rows(section(API, "## Endpoints"))
        for method, path in re.findall(r"`(GET|HEAD|POST|PUT|DELETE) (/[^`?]*)", row[0])
    }


def test_every_endpoint_is_described_with_its_scope_and_no_other() -> None:
    known = dict(endpoints())
    # A required parameter is missed before the scope is.
    assert {known.pop(Endpoint("GET", path)) for path in ("/v1/export", "/v1/channels/{id}/test")} == {"400"}
    page = described()
    assert {page.pop(Endpoint("GET", path)) for path in ("/v1/export", "/v1/channels/{id}/test")} == {"netpulse:admin"}
    assert page == known


def test_every_problem_type_is_in_the_table_with_its_status_and_no_other() -> None:
    table = {codes(row[0])[0]: int(row[1]) for row in rows(section(API, "## Errors"))}
    assert table == {kind.uri: kind.status for kind in TYPES.values()}


def test_every_metric_is_described_with_its_labels_and_no_other() -> None:
    async def scenario() -> str:
        netpulse, metrics = ScriptedNetpulse(clock=time.time), Metrics()
        metrics.follow_connections(lambda: 0, lambda: 0)
        metrics.follow_held(lambda: 0)
        metrics.beat("up")
        metrics.answered("GET /", 200, 0.1)
        figures = await netpulse.records.figures()
        return metrics.render(figures, netpulse.regions(), await netpulse.monitors("default")).decode()

    text = asyncio.run(scenario())
    found = {}
    for name in re.findall(r"^# TYPE (holdfast_\S+) \w+$", text, re.MULTILINE):
        if not name.endswith("_created"):  # the library's own, beside each counter
            labels = re.findall(rf"^{name}(?:_bucket)?\{{(.*)\}} ", text, re.MULTILINE)
            found[name] = {label for one in labels for label in re.findall(r'(\w+)="', one)} - {"le"}
    assert {codes(row[0])[0]: set(codes(row[1])) for row in rows(section(API, "## Metrics"))} == found


def test_every_action_in_the_audit_trail_is_named_and_no_other() -> None:
    written = set()
    for call in calls("netpulse/shell/api", "note"):
        words = [
            node.value for node in ast.walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        written |= {word for word in words if re.fullmatch(r"[a-z]+\.[a-z]+", word)}
    named = {name for name in codes(section(API, "## Roles")) if re.fullmatch(r"[a-z]+\.[a-z]+", name)}
    assert named == written


def test_every_role_is_described_and_each_may_more_than_the_one_before() -> None:
    names = [codes(row[0])[0] for row in rows(section(API, "## Roles"))]
    assert names == ["viewer", "editor", "admin", "owner"]
    for less, more in pairwise(names):
        assert ROLES[less] < ROLES[more]
    assert {scope for scope in Scope if scope.value.startswith("netpulse:")} <= ROLES["admin"]


def test_the_bounds_that_the_page_names_are_those_of_the_code() -> None:
    assert f"may ask {service.REQUESTS_PER_S:g} times a second, {service.REQUESTS_BURST:g} at once" in API
    assert f"at most {front.BODY_BYTES // 1024} KiB, alerts {front.ALERTS_BYTES // 2**20} MiB" in API
    assert f"at most {heartbeats.BODY_BYTES:,} bytes" in API
    assert (service.BEATS_PER_S, service.BEATS_BURST) == (1.0, 10.0)
    assert (service.TESTS_PER_S, service.TESTS_BURST) == (0.1, 5.0)
    assert LASTS_S == 7 * 86_400
    assert exports.KEPT == 4
    assert exports.KEPT_S == 3_600
    assert quiet.LONGEST_S == 90 * 86_400
    assert all(f"`{kind}`" in API or f'"{kind}"' in API for kind in operations.SIMULATIONS)
