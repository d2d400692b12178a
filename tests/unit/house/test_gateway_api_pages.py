"""The page on the gateway's control API says what the code does, where a machine can compare the two."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from holdfast.gateway.core.settings import GatewaySettings
from holdfast.gateway.shell.control import front, service, usage
from holdfast.gateway.shell.control.app import control_app
from holdfast.gateway.shell.control.bodies import NewKey
from holdfast.gateway.shell.control.problems import TYPES
from holdfast.gateway.shell.ledger.reports import MAX_PAGE
from holdfast.gateway.shell.observing import recent
from holdfast.gateway.shell.observing.exposition import CATALOGUE
from tests.unit.house.asking import Endpoint, Nobody, ask
from tests.unit.house.pages import ROOT, codes, rows, section

if TYPE_CHECKING:
    from collections.abc import Mapping

API = (ROOT / "docs" / "gateway-api.md").read_text()
OPEN = "*open*"


@cache
def endpoints() -> Mapping[Endpoint, str]:
    """Every endpoint of the OpenAPI document, with the scope that it asks for first."""

    async def scenario() -> Mapping[Endpoint, str]:
        gateway = SimpleNamespace(settings=GatewaySettings(), identities=Nobody(), wall=lambda: 1e9, clock=lambda: 0.0)
        door = control_app(cast("Any", gateway), cast("Any", None), cast("Any", None))
        document = (await ask(door, Endpoint("GET", "/openapi.json"), key=False)).body
        found = {}
        for path, item in document["paths"].items():
            for method, operation in item.items():
                endpoint = Endpoint(method.upper(), path)
                if operation.get("security") == []:
                    found[endpoint] = OPEN
                    continue
                assert (await ask(door, endpoint, key=False)).status == 401
                refused = await ask(door, Endpoint(endpoint.method, path.replace("{id}", "k")))
                scope = re.search(r"lacks the scope '([a-z:]+)'", str(refused.body))
                found[endpoint] = scope[1] if scope else f"{refused.status}"
        return found

    return asyncio.run(scenario())


def test_every_endpoint_is_on_the_page_with_its_scope() -> None:
    written = {}
    for cell, scope, _ in rows(section(API, "## Endpoints")):
        for code in codes(cell):
            method, path = code.split()
            written[Endpoint(method, path)] = scope.strip("`")
    assert written == endpoints()


def test_every_problem_is_on_the_page() -> None:
    written = {codes(name)[0]: int(status) for name, status, _ in rows(section(API, "## Problems"))}
    assert written == {kind.uri: kind.status for kind in TYPES.values()}


def test_every_metric_is_on_the_page_with_its_labels() -> None:
    written = {codes(name)[0]: tuple(codes(labels)) for name, labels, _ in rows(section(API, "## Metrics"))}
    assert written == {name: family.labels for name, family in CATALOGUE.items()}


def test_every_field_of_a_key_is_on_the_page() -> None:
    written = {code for names, _ in rows(section(API, "## Keys")) for code in codes(names)}
    assert written == set(NewKey.__struct_fields__)


def test_bounds_are_what_the_page_says() -> None:
    text = section(API, "## Endpoints")
    assert f"{service.REQUESTS_PER_S:g} times a second, {service.REQUESTS_BURST:g} at once" in text
    assert f"{front.BODY_BYTES // 2**20} MiB" in text
    costs = section(API, "## Usage and costs")
    assert f"at most {MAX_PAGE}" in costs
    assert f"the last {usage.DEFAULT_S / 86400:g} unless asked" in costs
    assert set(usage.DIMENSIONS) <= set(codes(costs))
    assert f"last {recent.KEPT} requests" in section(API, "## Why")
