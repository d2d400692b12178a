"""The endpoints around the jobs."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.execution.core.job import Result, Verdict
from holdfast.execution.core.ports import Refused, Tidied
from holdfast.execution.shell.api.problems import TYPES
from holdfast.execution.shell.api.upkeep import Upkeep
from tests.integration.execution.harness import Dead, finish, running, sync


def test_runtimes_say_what_is_offered_and_what_to_install() -> None:
    async def scenario() -> None:
        async with running() as api:
            await sync(api, wait_s=0)
            cpp, python = (await api.ask("GET", "/v1/runtimes")).json()["runtimes"]
            assert (python["language"], python["version"], python["available"]) == ("python", "3.12", True)
            assert (cpp["language"], cpp["version"], cpp["available"]) == ("cpp", None, False)
            assert (cpp["aliases"], cpp["package"]) == (["c++"], "something")
            refused = await api.ask("POST", "/v1/jobs", json={"language": "cpp", "source": ""})
            assert refused.json()["type"] == "/problems/runtime-unavailable"

    asyncio.run(scenario())


def test_quotas_show_limits_and_use() -> None:
    async def scenario() -> None:
        async with running() as api:
            await api.submitted()
            quotas = (await api.ask("GET", "/v1/quotas")).json()
            assert (quotas["queued"], quotas["running"], quotas["backlog_cpu_s"]) == (1, 0, 0.1)
            assert (quotas["limits"]["wall"], quotas["ceilings"]["wall"]) == (60.0, 300.0)
            assert (quotas["payload"]["source"], quotas["daily_cpu_s"]) == (100_000, 86_400.0)

    asyncio.run(scenario())


def test_costs_are_priced_for_as_many_days_as_are_asked() -> None:
    async def scenario() -> None:
        async with running() as api:
            api.queue.end(await api.submitted(), Result(verdict=Verdict.OK), 1.0)
            costs = (await api.ask("GET", "/v1/costs?days=400")).json()
            assert (costs["days"], costs["total"]["cpu_s"]) == (400, 0.25)
            assert costs["costs"][0]["cost"]["amount"] == round(0.25 / 3600 * 0.05, 9)
            for days in ("0", "401", "x"):
                reply = await api.ask("GET", f"/v1/costs?days={days}")
                assert (reply.status, reply.json()["field"]) == (422, "days")

    asyncio.run(scenario())


def test_the_audit_trail_comes_in_pages_of_one_tenant() -> None:
    async def scenario() -> None:
        async with running() as api:
            ids = [await api.submitted() for _ in range(3)]
            for id in ids:
                await api.ask("DELETE", f"/v1/jobs/{id}")
                # What others do must not push a tenant's entries out of its page.
                await api.ask("POST", "/v1/dead-letters/replay", key="bob", json={"all": True})
            first = (await api.ask("GET", "/v1/audit?limit=2")).json()
            second = (await api.ask("GET", f"/v1/audit?limit=2&cursor={first['next']}")).json()
            assert [entry["target"] for entry in first["entries"] + second["entries"]] == ids[::-1]
            assert (first["entries"][0]["actor"], second["next"]) == ("k-ada", None)
            assert (await api.ask("GET", "/v1/audit?cursor=x")).json()["field"] == "cursor"
            assert (await api.ask("GET", "/v1/audit?action=job%00")).json()["field"] == "action"

    asyncio.run(scenario())


def test_dead_letters_are_listed_and_replayed_once() -> None:
    async def scenario() -> None:
        async with running() as api:
            ids = [await api.submitted() for _ in range(3)]
            for id in ids:
                await api.queue.die(id, 1.0)
            page = (await api.ask("GET", "/v1/dead-letters?limit=2")).json()
            assert [letter["id"] for letter in page["dead_letters"]] == [ids[2], ids[1]]
            rest = (await api.ask("GET", f"/v1/dead-letters?cursor={page['next']}")).json()
            assert [letter["id"] for letter in rest["dead_letters"]] == [ids[0]]
            one = await api.ask("POST", "/v1/dead-letters/replay", json={"ids": [ids[0]]})
            assert one.json() == {"replayed": [ids[0]]}
            again = await api.ask("POST", "/v1/dead-letters/replay", json={"ids": [ids[0]]})
            assert again.json() == {"replayed": []}
            everything = await api.ask("POST", "/v1/dead-letters/replay", json={"all": True})
            assert sorted(everything.json()["replayed"]) == ids[1:]
            for body in ({}, {"ids": [], "all": True}, {"ids": ["x"]}, {"reason": "x", "ids": []}, {"all": False}):
                reply = await api.ask("POST", "/v1/dead-letters/replay", json=body)
                assert reply.status == 422, body

    asyncio.run(scenario())


def test_dead_callbacks_are_listed_and_replayed() -> None:
    async def scenario() -> None:
        async with running() as api:
            ids = sorted([await api.submitted() for _ in range(3)])
            api.outbox.dead["ada"] = [Dead(id) for id in ids]
            woken: list[None] = []
            api.service.job_ended = lambda: woken.append(None)
            page = (await api.ask("GET", "/v1/callbacks/dead-letters?limit=2")).json()
            assert ([each["job"] for each in page["callbacks"]], page["next"]) == (ids[:0:-1], ids[1])
            path = "/v1/callbacks/dead-letters/replay"
            assert (await api.ask("POST", path, json={"jobs": [ids[0]]})).json() == {"replayed": 1}
            assert (await api.ask("POST", path, key="bob", json={"all": True})).json() == {"replayed": 0}
            assert (await api.ask("POST", path, json={"all": True})).json() == {"replayed": 2}
            assert woken
            for body in ({}, {"jobs": [], "all": True}, {"jobs": ["x"]}):
                assert (await api.ask("POST", path, json=body)).status == 422

    asyncio.run(scenario())


def test_the_secret_of_callbacks_is_shown_and_rotated() -> None:
    async def scenario() -> None:
        async with running() as api:
            shown = (await api.ask("GET", "/v1/callbacks/secrets")).json()["secrets"]
            assert [each["secret"] for each in shown] == ["whsec_ada"]
            path = "/v1/callbacks/secrets/rotate"
            rotated = (await api.ask("POST", path, json={"overlap": "1h"})).json()["secrets"]
            assert [(each["secret"], each["expires_at"] is None) for each in rotated] == [
                ("whsec_ada+", True),
                ("whsec_ada", False),
            ]
            for overlap in ("x", "31d"):
                assert (await api.ask("POST", path, json={"overlap": overlap})).json()["field"] == "overlap"

    asyncio.run(scenario())


def test_a_replay_that_is_refused_says_when_to_come_back() -> None:
    async def scenario() -> None:
        async with running() as api:
            api.queue.refuse = Refused(reason="tenant_backlog", detail="too much", retry_after_s=3.5)
            reply = await api.ask("POST", "/v1/dead-letters/replay", json={"all": True})
            assert (reply.status, reply.headers["retry-after"]) == (429, "4")

    asyncio.run(scenario())


def test_a_service_that_is_about_to_end_is_not_ready() -> None:
    async def scenario() -> None:
        async with running() as api:
            api.service.stop()
            reply = await api.ask("GET", "/readyz", key=None)
            assert (reply.status, reply.json()["type"]) == (503, "/problems/shutting-down")
            assert (await api.ask("GET", "/healthz", key=None)).status == 200

    asyncio.run(scenario())


def test_operators_see_the_queue_and_workers_what_is_wanted_of_them() -> None:
    async def scenario() -> None:
        async with running() as api:
            await api.submitted()
            await api.submitted(key="bob")
            queue = (await api.ask("GET", "/v1/queue", key="operator")).json()
            assert (queue["queued"], queue["backlog_cpu_s"], queue["backlog_s"]) == (2, 0.2, 0.2)
            assert [tenant["tenant"] for tenant in queue["tenants"]] == ["ada", "bob"]
            for key in ("operator", "worker"):
                scaling = (await api.ask("GET", "/v1/scaling", key=key)).json()
                assert (scaling["queued"], scaling["backlog_s"], scaling["wanted_workers"]) == (2, 0.2, 1)

    asyncio.run(scenario())


def test_metrics_count_what_happens_and_name_no_tenant() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted()
            await api.submitted()
            await sync(api)
            await finish(api, id)
            await finish(api, id)
            await api.ask("GET", "/v1/jobs")
            api.queue.tidied = Tidied(leases_expired=1)
            await Upkeep(api.service, rng=api.rng).round()
            api.service.metrics.follow_callbacks(lambda: {"dead": 3})
            text = (await api.ask("GET", "/metrics", key=None)).body.decode()
            for line in (
                "holdfast_execution_queued 1.0",
                "holdfast_execution_workers 1.0",
                "holdfast_execution_backlog_seconds 0.1",
                'holdfast_execution_submissions_total{outcome="accepted"} 2.0',
                'holdfast_execution_finished_total{verdict="ok"} 1.0',
                "holdfast_execution_leases_lost_total 1.0",
                "holdfast_execution_wait_seconds_count 1.0",
                "holdfast_execution_group_size_count 2.0",
                "holdfast_execution_connections 1.0",
                "holdfast_execution_connections_evicted_total 0.0",
                "holdfast_execution_held 0.0",
                'holdfast_execution_callbacks_total{outcome="dead"} 3.0',
                'holdfast_execution_request_seconds_count{code="202",route="POST /v1/jobs"} 2.0',
                'holdfast_execution_request_seconds_count{code="200",route="GET /v1/jobs"} 1.0',
            ):
                assert line in text, line
            assert "ada" not in text

    asyncio.run(scenario())


def test_upkeep_that_fails_is_logged_once_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with running() as api:
            upkeep = Upkeep(api.service, rng=api.rng)
            api.queue.broken = True
            await upkeep.round()
            await upkeep.round()
            api.queue.broken = False
            await upkeep.round()

    caplog.set_level("INFO")
    asyncio.run(scenario())
    said = [record.message for record in caplog.records if "upkeep" in record.message]
    assert said == ["upkeep fails", "upkeep works again"]


def test_the_openapi_document_has_every_path_problem_and_scheme() -> None:
    async def scenario() -> None:
        async with running() as api:
            reply = await api.ask("GET", "/schema", key=None)
            document = reply.json()
            assert document["openapi"].startswith("3.1")
            assert set(document["paths"]) == {
                "/healthz",
                "/internal/v1/report",
                "/internal/v1/sync",
                "/metrics",
                "/problems/{name}",
                "/readyz",
                "/v1/audit",
                "/v1/callbacks/dead-letters",
                "/v1/callbacks/dead-letters/replay",
                "/v1/callbacks/secrets",
                "/v1/callbacks/secrets/rotate",
                "/v1/jobs/{id}/program",
                "/v1/batches",
                "/v1/costs",
                "/v1/dead-letters",
                "/v1/dead-letters/replay",
                "/v1/jobs",
                "/v1/jobs/{id}",
                "/v1/jobs/{id}/events",
                "/v1/queue",
                "/v1/quotas",
                "/v1/runtimes",
                "/v1/scaling",
            }
            assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
            assert document["paths"]["/healthz"]["get"]["security"] == []
            text = reply.body.decode()
            for name in TYPES:
                assert f"`/problems/{name}`" in text, name
            for reference in {part.split('"')[0] for part in text.split('"$ref":"#/')[1:]}:
                found = document
                for step in reference.split("/"):
                    found = found[step]
            examples = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["examples"]
            for example in examples.values():
                assert (await api.ask("POST", "/v1/jobs", json=example["value"])).status == 202

    asyncio.run(scenario())
