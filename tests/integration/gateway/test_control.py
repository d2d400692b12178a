"""The control API of a gateway that runs: who may see and do what."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

import msgspec

from holdfast.gateway.core.ports import AttemptBegun, Holder
from holdfast.testing.gateway import mock_provider
from tests.integration.gateway.stack import Stack, running_gateway

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_gateway_answers_and_says_that_it_is_ready() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        assert (await stack.chat()).status == 200
        assert (await stack.ask("GET", "/healthz")).body == b"ok\n"
        assert (await stack.ask("GET", "/readyz")).body == b"ok\n"


async def test_a_gateway_whose_store_is_gone_is_not_ready() -> None:
    async with running_gateway() as stack:
        await stack.gateway.ledger._database.close()
        problem = await stack.refused("GET", "/readyz")
        assert problem["type"] == "/problems/not-ready"
        assert problem["status"] == 503


async def test_whoever_has_no_key_reads_what_they_used_and_administers_nothing() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        await stack.chat()
        await stack.settle()
        [row] = (await stack.ok("GET", "/v1/usage"))["rows"]
        assert (row["group"], row["requests"]) == ({"model": "demo"}, 1)
        for path in ("/admin/deployments", "/admin/models", "/admin/explain", "/v1/keys"):
            assert (await stack.refused("GET", path))["type"] == "/problems/forbidden"


async def test_a_key_that_is_none_is_refused_even_where_nobody_needs_one() -> None:
    async with running_gateway() as stack:
        for headers in ({"Authorization": "Bearer hf_nonsense"}, {"X-API-Key": "hf_nonsense"}):
            problem = await stack.refused("GET", "/v1/usage", headers=headers)
            assert problem["type"] == "/problems/unauthenticated"


async def test_without_a_key_nothing_is_told_where_one_is_needed() -> None:
    async with running_gateway({"anonymous": None}) as stack:
        reply = await stack.ask("GET", "/v1/usage")
        assert reply.status == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_usage_and_costs_are_grouped_and_counted_to_the_nano_dollar() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        key = await stack.key(team="search", tags=["prod"])
        for _ in range(2):
            assert (await stack.chat(key=key)).status == 200
        await stack.settle()
        found = await stack.ok("GET", "/v1/usage", key=key, params={"by": "team,deployment"})
        [row] = found["rows"]
        assert row["group"] == {"team": "search", "deployment": "mock/mock-small"}
        assert row["cost_nano"] == row["input_tokens"] * 1000 + row["output_tokens"] * 2000
        costs = await stack.ok("GET", "/v1/costs", key=key, params={"by": "tag"})
        assert costs["cost_nano"] == costs["rows"][0]["cost_nano"] == row["cost_nano"]
        assert costs["rows"][0]["group"] == {"tag": "prod"}


async def test_pages_of_groups_follow_each_other() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        keys = [await stack.key() for _ in range(3)]
        for key in keys:
            await stack.chat(key=key)
        await stack.settle()
        first = await stack.ok("GET", "/v1/usage", key=keys[0], params={"by": "key", "limit": 2})
        rest = await stack.ok(
            "GET", "/v1/usage", key=keys[0], params={"by": "key", "limit": 2, "offset": first["next"]}
        )
        assert [len(first["rows"]), len(rest["rows"]), rest["next"]] == [2, 1, None]


async def test_a_tenant_sees_nothing_of_another() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        ours, theirs = await stack.key("acme"), await stack.key("globex")
        made = await stack.ok("POST", "/v1/keys", key=ours, json={"name": "one"})
        request = (await stack.chat(key=ours)).headers["x-request-id"]
        await stack.settle()
        assert (await stack.ok("GET", "/v1/usage", key=theirs))["rows"] == []
        assert (await stack.ok("GET", "/v1/keys", key=theirs))["keys"] != []
        assert made["id"] not in str(await stack.ok("GET", "/v1/keys", key=theirs))
        for method, path in (
            ("GET", f"/v1/keys/{made['id']}"),
            ("DELETE", f"/v1/keys/{made['id']}"),
            ("GET", f"/v1/budgets?key={made['id']}"),
            ("GET", f"/admin/explain?request={request}"),
        ):
            assert (await stack.refused(method, path, key=theirs))["type"] == "/problems/not-found"
        problem = await stack.refused("PATCH", f"/v1/keys/{made['id']}", key=theirs, json={"team": "x"})
        assert problem["type"] == "/problems/not-found"
        problem = await stack.refused("GET", "/v1/usage?tenant=acme", key=theirs)
        assert problem["type"] == "/problems/forbidden"


async def test_an_operator_sees_the_usage_of_every_tenant() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        await stack.chat(key=await stack.key("acme"))
        await stack.chat(key=await stack.key("globex"))
        await stack.settle()
        operator = await stack.key("house", role="operator")
        rows = (await stack.ok("GET", "/v1/usage?by=tenant", key=operator))["rows"]
        assert [row["group"]["tenant"] for row in rows] == ["acme", "globex"]
        [row] = (await stack.ok("GET", "/v1/usage?tenant=acme", key=operator))["rows"]
        assert row["requests"] == 1


async def test_every_attempt_is_exported_as_a_table_and_as_lines() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        key = await stack.key()
        for _ in range(3):
            await stack.chat(key=key)
        await stack.settle()
        reply = await stack.ask("GET", "/v1/usage/export", key=key)
        assert reply.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
        assert [row["outcome"] for row in rows] == ["ok"] * 3
        reply = await stack.ask("GET", "/v1/usage/export?format=jsonl", key=key)
        lines = [msgspec.json.decode(line) for line in reply.body.splitlines()]
        assert [line["attempt"] for line in lines] == [row["attempt"] for row in rows]


async def test_wrong_questions_are_told_what_would_be_right() -> None:
    async with running_gateway() as stack:
        for query, field in (
            ("by=colour", "by"),
            ("where=colour%3Dred", "where"),
            ("where=red", "where"),
            ("since=yesterday", "since"),
            ("limit=0", "limit"),
            ("by=tenant", "by"),
        ):
            problem = await stack.refused("GET", f"/v1/usage?{query}")
            assert (problem["type"], problem["field"]) == ("/problems/invalid-request", field), query
        assert (await stack.ask("GET", "/v1/usage?since=2026-11-22&until=2026-11-01")).status == 422
        assert (await stack.ask("GET", "/v1/usage?where=day%3Dnever")).status == 422


async def test_a_key_is_made_shown_once_used_changed_and_ended() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        owner = await stack.key()
        body = {"name": "ci", "team": "search", "limits": {"models": ["demo"]}, "tags": ["ci"], "expires": "30d"}
        made = await stack.ok("POST", "/v1/keys", key=owner, json=body)
        text = made["key"]
        assert (await stack.chat(key=text)).status == 200
        shown = await stack.ok("GET", f"/v1/keys/{made['id']}", key=owner)
        assert text not in str(shown)
        assert (shown["team"], shown["state"], shown["scopes"]) == ("search", "active", ["gateway:read", "gateway:use"])
        changed = await stack.ok(
            "PATCH", f"/v1/keys/{made['id']}", key=owner, json={"limits": {"models": ["other"]}, "team": None}
        )
        assert (changed["team"], changed["tags"], changed["limits"]["models"]) == (None, ["ci"], ["other"])
        assert (await stack.chat(key=text)).status == 403
        ended = await stack.ok("DELETE", f"/v1/keys/{made['id']}", key=owner)
        assert ended["state"] == "revoked"
        assert (await stack.chat(key=text)).status == 401


async def test_nobody_makes_a_key_that_may_more_than_they() -> None:
    async with running_gateway() as stack:
        owner, developer = await stack.key(), await stack.key(role="developer")
        problem = await stack.refused("POST", "/v1/keys", key=owner, json={"scopes": ["operate"]})
        assert problem["type"] == "/problems/forbidden"
        assert (await stack.refused("POST", "/v1/keys", key=developer, json={}))["type"] == "/problems/forbidden"


async def test_limits_and_expiries_that_cannot_be_are_named_with_their_place() -> None:
    async with running_gateway() as stack:
        owner = await stack.key()
        for body, field in (
            ({"limits": {"daily_usd": -1}}, "limits.daily_usd"),
            ({"limits": {"colour": 1}}, "limits"),
            ({"expires": "yesterday"}, "expires"),
            ({"expires": "2020-01-01T00:00:00Z"}, "expires"),
            ({"scopes": ["everything"]}, "scopes"),
        ):
            problem = await stack.refused("POST", "/v1/keys", key=owner, json=body)
            assert (problem["type"], problem["field"]) == ("/problems/invalid-request", field), problem
        problem = await stack.refused("POST", "/v1/keys", key=owner, json={"team": "a/b"})
        assert problem["type"] == "/problems/invalid-request"


async def test_a_budget_says_what_is_left_and_when_it_begins_anew() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        owner = await stack.key()
        made = await stack.ok("POST", "/v1/keys", key=owner, json={"limits": {"daily_usd": 1}})
        await stack.chat(key=made["key"])
        await stack.settle()
        [budget] = (await stack.ok("GET", "/v1/budgets", key=made["key"]))["budgets"]
        assert (budget["scope"], budget["limit"]) == (f"key:acme/{made['id']}", "$1.00") or budget["limit"] == "$1.00"
        assert budget["spent"] != "$0.00"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00.*", budget["ends"])
        seen = await stack.ok("GET", f"/v1/budgets?key={made['id']}", key=owner)
        assert [each["scope"] for each in seen["budgets"]] == [budget["scope"]]


async def test_orphans_are_reconciled_by_their_own_tenant_alone(tmp_path: Path) -> None:
    async with mock_provider() as provider:
        async with running_gateway(provider=provider, directory=tmp_path) as stack:
            _orphan(stack, "acme")
        async with running_gateway(provider=provider, directory=tmp_path) as stack:
            ours, theirs = await stack.key("acme"), await stack.key("globex")
            body = {"attempts": [{"attempt": "a1", "input_tokens": 10, "output_tokens": 5}]}
            refused = await stack.ok("POST", "/v1/usage/reconcile", key=theirs, json=body)
            assert (refused["changed"], refused["unknown"]) == (0, ["a1"])
            made = await stack.ok("POST", "/v1/usage/reconcile", key=ours, json=body)
            assert made["changed"] == 1
            assert made["difference_nano"] == 10 * 1000 + 5 * 2000 - 1_000_000


def _orphan(stack: Stack, tenant: str) -> None:
    """An attempt that was begun and never ended."""
    stack.gateway.ledger.begin(
        AttemptBegun(
            attempt="a1",
            request="r1",
            holder=Holder(tenant=tenant, key_id="k"),
            model="demo",
            deployment="mock/mock-small",
            upstream_model="mock-small",
            wall=stack.gateway.wall(),
            reserved_nano=1_000_000,
            input_tokens=10,
        )
    )


async def test_an_operator_is_told_of_deployments_and_models() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        admin = await stack.key(role="admin")
        await stack.chat(key=admin, stream=True)
        [deployment] = (await stack.ok("GET", "/admin/deployments", key=admin))["deployments"]
        assert (deployment["deployment"], deployment["state"]) == ("mock/mock-small", "up")
        assert deployment["price"]["input_nano_per_million"] == 1_000_000_000
        [model] = (await stack.ok("GET", "/admin/models", key=admin))["models"]
        assert (model["model"], model["tiers"]) == ("demo", [["mock/mock-small"]])
        told = await stack.ok("GET", "/admin/explain?deployment=mock/mock-small", key=admin)
        assert told["rule"] == "fleet.sound"
        assert (await stack.ask("GET", "/admin/explain?deployment=no", key=admin)).status == 404


async def test_a_request_is_explained_attempt_by_attempt() -> None:
    async with mock_provider("count=1,status=500") as provider, running_gateway(provider=provider) as stack:
        admin = await stack.key(role="admin")
        reply = await stack.chat(key=admin)
        assert reply.status == 200
        told = await stack.ok("GET", f"/admin/explain?request={reply.headers['x-request-id']}", key=admin)
        assert [each["outcome"] for each in told["attempts"]] == ["server_error", "ok"]
        assert all(each["why"] for each in told["attempts"])
        assert told["cost_nano"] > 0
        assert told["summary"].endswith("then mock/mock-small answered.")
        latest = await stack.ok("GET", "/admin/explain", key=admin)
        assert latest["requests"][0]["request"] == told["request"]


async def test_an_admin_plane_that_is_off_is_not_there() -> None:
    async with running_gateway({"admin": False}) as stack:
        admin = await stack.key(role="admin")
        assert (await stack.refused("GET", "/admin/deployments", key=admin))["type"] == "/problems/not-found"


async def test_bodies_are_json_and_bounded() -> None:
    async with running_gateway() as stack:
        owner = await stack.key()
        problem = await stack.refused("POST", "/v1/keys", key=owner, data=b"{}", headers={"Content-Type": "text/plain"})
        assert problem["type"] == "/problems/unsupported-media-type"
        large = b'{"name": "' + b"x" * (5 * 2**20) + b'"}'
        headers = {"Content-Type": "application/json"}
        assert (await stack.refused("POST", "/v1/keys", key=owner, data=io.BytesIO(large), headers=headers))[
            "status"
        ] == 413
        problem = await stack.refused("POST", "/v1/keys", key=owner, data=b"{", headers=headers)
        assert problem["type"] == "/problems/malformed-request"


async def test_problems_are_explained_and_the_document_names_every_endpoint() -> None:
    async with running_gateway() as stack:
        told = await stack.ok("GET", "/problems/not-ready")
        assert told["status"] == 503
        document = await stack.ok("GET", "/schema")
        assert {"/v1/usage", "/v1/keys/{id}", "/admin/explain", "/metrics"} <= set(document["paths"])
        assert (await stack.refused("GET", "/nowhere"))["type"] == "/problems/not-found"
        assert (await stack.refused("DELETE", "/v1/usage"))["type"] == "/problems/method-not-allowed"


async def test_a_tenant_that_asks_without_end_is_told_to_slow_down() -> None:
    async with running_gateway() as stack:
        key = await stack.key()
        for _ in range(400):
            reply = await stack.ask("GET", "/admin/models", key=key)
            if reply.status == 429:
                break
        assert reply.status == 429
        assert int(reply.headers["retry-after"]) >= 1
        assert (await stack.ask("GET", "/admin/models", key=await stack.key("globex"))).status == 200
