"""Who may ask what, how much and how large, and what is said to everybody else."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from holdfast.execution.core.ports import Refused
from holdfast.execution.core.settings import AdmissionSettings, ExecutionSettings, PayloadSettings
from holdfast.execution.shell.api import front as front_module
from holdfast.execution.shell.api.problems import TYPES
from holdfast.kernel import Size
from holdfast.testing import RawClient
from holdfast.web.reading import Memory
from tests.integration.execution.harness import HELLO, Api, Reply, running

if TYPE_CHECKING:
    from typing import Any, Literal

UNKNOWN = "01ARYZ6S41TSV4RRFFQ69G5FAV"
TENANT_ENDPOINTS = (
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs"),
    ("GET", f"/v1/jobs/{UNKNOWN}"),
    ("GET", f"/v1/jobs/{UNKNOWN}/events"),
    ("DELETE", f"/v1/jobs/{UNKNOWN}"),
    ("POST", "/v1/batches"),
    ("GET", f"/v1/jobs/{UNKNOWN}/program"),
    ("GET", "/v1/callbacks/dead-letters"),
    ("POST", "/v1/callbacks/dead-letters/replay"),
    ("GET", "/v1/callbacks/secrets"),
    ("POST", "/v1/callbacks/secrets/rotate"),
    ("GET", "/v1/runtimes"),
    ("GET", "/v1/quotas"),
    ("GET", "/v1/costs"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/dead-letters"),
    ("POST", "/v1/dead-letters/replay"),
)
BODIES: dict[str, dict[str, Any]] = {
    "/v1/jobs": HELLO,
    "/v1/batches": {"jobs": [HELLO]},
    "/v1/dead-letters/replay": {"all": True},
    "/v1/callbacks/dead-letters/replay": {"all": True},
    "/v1/callbacks/secrets/rotate": {"overlap": "1h"},
}
OPERATOR_ENDPOINTS = (("GET", "/v1/queue"), ("GET", "/v1/scaling"))
WORKER_ENDPOINTS = (("POST", "/internal/v1/sync"), ("POST", "/internal/v1/report"))


async def ask(api: Api, method: str, path: str, key: str | None) -> Reply:
    return await api.ask(method, path, key=key, json=BODIES[path] if method == "POST" and path in BODIES else None)


def problem_of(reply: Reply) -> str:
    """The name of the problem; everything that a problem must have is there."""
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    kind = TYPES[body["type"].removeprefix("/problems/")]
    assert (body["title"], body["status"], reply.status) == (kind.title, kind.status, kind.status)
    assert body["detail"]
    if kind.status in {429, 503}:
        assert int(reply.headers["retry-after"]) >= body["retry_after_s"] > 0
    return kind.name


def test_without_a_valid_key_nothing_is_answered() -> None:
    async def scenario() -> None:
        async with running() as api:
            for method, path in (*TENANT_ENDPOINTS, *OPERATOR_ENDPOINTS, *WORKER_ENDPOINTS, ("GET", "/nowhere")):
                for key in (None, "mallory", ""):
                    reply = await ask(api, method, path, key)
                    assert problem_of(reply) == "unauthenticated", path
                    assert reply.headers["www-authenticate"].startswith("Bearer")

    asyncio.run(scenario())


def test_both_ways_to_send_a_key_work() -> None:
    async def scenario() -> None:
        async with running() as api:
            for headers in ({"X-API-Key": "ada"}, {"Authorization": "Bearer ada"}, {"authorization": "bearer  ada"}):
                assert (await api.ask("GET", "/v1/jobs", key=None, headers=headers)).status == 200
            basic = await api.ask("GET", "/v1/jobs", key=None, headers={"Authorization": "Basic ada"})
            assert problem_of(basic) == "unauthenticated"

    asyncio.run(scenario())


def test_a_key_does_only_what_its_scopes_say() -> None:
    async def scenario() -> None:
        async with running() as api:
            for key, allowed in (
                ("worker", {"/v1/scaling", "/internal/v1/sync", "/internal/v1/report"}),
                ("operator", {"/v1/scaling", "/v1/queue"}),
                ("viewer", {p for m, p in TENANT_ENDPOINTS if m == "GET"} - {"/v1/audit", "/v1/callbacks/secrets"}),
                ("ada", {p for _, p in TENANT_ENDPOINTS}),
            ):
                for method, path in (*TENANT_ENDPOINTS, *OPERATOR_ENDPOINTS, *WORKER_ENDPOINTS):
                    reply = await ask(api, method, path, key)
                    may = path in allowed and not (key == "viewer" and method != "GET")
                    assert (reply.status != 403) is may, (key, method, path, reply.status)
                    if not may:
                        assert problem_of(reply) == "forbidden"

    asyncio.run(scenario())


def test_another_tenants_job_is_not_there_at_any_endpoint() -> None:
    async def scenario() -> None:
        async with running() as api:
            id = await api.submitted(key="ada")
            dead = await api.submitted(key="ada")
            await api.queue.die(dead, 1.0)
            for method, path in (
                ("GET", f"/v1/jobs/{id}"),
                ("GET", f"/v1/jobs/{id}?wait=1s"),
                ("GET", f"/v1/jobs/{id}/events"),
                ("GET", f"/v1/jobs/{id}/program"),
                ("DELETE", f"/v1/jobs/{id}"),
            ):
                theirs = await ask(api, method, path, "bob")
                nobodys = await ask(api, method, path.replace(id, UNKNOWN), "bob")
                assert problem_of(theirs) == problem_of(nobodys) == "not-found"
                assert theirs.json()["detail"].replace(id, UNKNOWN) == nobodys.json()["detail"]
            assert (await api.ask("GET", "/v1/jobs", key="bob")).json() == {"jobs": [], "next": None}
            assert (await api.ask("GET", f"/v1/jobs?cursor={id}", key="bob")).json()["jobs"] == []
            assert (await api.ask("GET", "/v1/dead-letters", key="bob")).json()["dead_letters"] == []
            for body in ({"ids": [dead]}, {"all": True}, {"language": "python"}):
                replay = await api.ask("POST", "/v1/dead-letters/replay", key="bob", json=body)
                assert replay.json() == {"replayed": []}
            assert (await api.ask("GET", "/v1/quotas", key="bob")).json()["queued"] == 0
            assert (await api.ask("GET", "/v1/costs", key="bob")).json()["costs"] == []
            await api.ask("DELETE", f"/v1/jobs/{id}", key="ada")
            trail = (await api.ask("GET", "/v1/audit", key="bob")).json()["entries"]
            assert {entry["target"] for entry in trail} == {"0 jobs"}
            assert api.queue.views[dead].status == "dead"

    asyncio.run(scenario())


def test_ids_that_cannot_be_are_not_looked_up() -> None:
    async def scenario() -> None:
        async with running() as api:
            api.queue.broken = True
            for id in ("x", "..", "%00", "%2e%2e", "é", "0" * 500):
                assert problem_of(await api.ask("GET", f"/v1/jobs/{id}")) == "not-found", id

    asyncio.run(scenario())


def test_no_path_leads_around_the_key() -> None:
    async def scenario() -> None:
        async with running() as api, await RawClient.connect(api.host, api.port) as client:
            for path in (
                "/problems/../v1/jobs",
                "/problems/%2e%2e/v1/jobs",
                "/problems/..%2fv1%2fjobs",
                "/healthz/../v1/jobs",
                "//v1/jobs",
                "/v1/jobs/",
                "/v1/jobs?x=/healthz",
                "/schema/../v1/jobs",
            ):
                answer = await client.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert answer.status in {401, 404}, path
                assert answer.field(b"cache-control") == b"no-store"
                assert answer.field(b"x-content-type-options") == b"nosniff"

    asyncio.run(scenario())


def test_a_tenants_key_cannot_make_the_worker_endpoints_read() -> None:
    async def scenario() -> None:
        async with running() as api, await RawClient.connect(api.host, api.port) as client:
            head = "POST /internal/v1/report HTTP/1.1\r\nHost: x\r\nX-API-Key: ada\r\nContent-Length: 1000000\r\n\r\n"
            answer = await client.ask(head.encode())
            assert answer.status == 403

    asyncio.run(scenario())


def test_what_is_not_there_is_a_problem_too() -> None:
    async def scenario() -> None:
        async with running() as api:
            assert problem_of(await api.ask("GET", "/v1/nothing")) == "not-found"
            assert problem_of(await api.ask("GET", "/problems/nothing", key=None)) == "not-found"
            wrong = await api.ask("PUT", "/v1/jobs")
            assert problem_of(wrong) == "method-not-allowed"

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/batches", "/v1/dead-letters/replay"])
def test_a_body_that_is_not_json_is_refused(path: str) -> None:
    async def scenario() -> None:
        async with running() as api:
            form = await api.ask("POST", path, data=b"language=python", headers={"Content-Type": "text/plain"})
            assert problem_of(form) == "unsupported-media-type"
            for body in (b"{", b"\xff\xfe", b"[" * 100_000, b""):
                reply = await api.ask("POST", path, data=body, headers={"Content-Type": "application/json"})
                assert problem_of(reply) in {"malformed-request", "invalid-request"}, body[:10]
            extra = await api.ask("POST", path, json={**BODIES[path], "bogus": 1})
            assert problem_of(extra) == "invalid-request"
            assert "bogus" in extra.json()["detail"]

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/batches"])
@pytest.mark.parametrize("how", ["announced", "chunked"])
def test_a_body_over_the_limit_is_refused_while_it_comes(path: str, how: Literal["announced", "chunked"]) -> None:
    settings = ExecutionSettings(payload=PayloadSettings(body=Size(100_000)))

    async def scenario() -> None:
        async with running(settings) as api, await RawClient.connect(api.host, api.port) as client:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: ada\r\nContent-Type: application/json\r\n"
            if how == "announced":
                # Nothing of the body is sent: the head alone is refused.
                await client.send(f"{head}Content-Length: 100001\r\n\r\n".encode())
            else:
                await client.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
                for _ in range(11):
                    await client.send(b"2710\r\n" + b" " * 10_000 + b"\r\n")
            answer = await client.answer()
            assert (answer.status, json.loads(answer.body)["type"]) == (413, "/problems/payload-too-large")
        async with running(settings) as api:
            body = json.dumps(HELLO if path == "/v1/jobs" else {"jobs": [HELLO]}).encode().ljust(100_000)
            fits = await api.ask("POST", path, data=body, headers={"Content-Type": "application/json"})
            assert fits.status == 202

    asyncio.run(scenario())


def test_bodies_in_memory_are_bounded_over_all_requests() -> None:
    async def scenario() -> None:
        async with running() as api, await RawClient.connect(api.host, api.port) as client:
            api.front._memory = Memory(in_all=50_000)
            head = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: ada\r\nContent-Type: application/json\r\n"
            await client.send(head + b"Content-Length: 60000\r\n\r\n")
            answer = await client.answer()
            assert (answer.status, answer.field(b"retry-after")) == (503, b"1")
            assert await api.submitted()

    asyncio.run(scenario())


def test_a_tenant_that_asks_too_fast_is_slowed_down_alone() -> None:
    settings = ExecutionSettings(admission=AdmissionSettings(requests_per_s=0.5, submits_per_s=0.01, submit_burst=2))

    async def scenario() -> None:
        async with running(settings) as api:
            await api.ask("GET", "/v1/jobs")
            assert problem_of(await api.ask("GET", "/v1/jobs")) == "request-rate"
            await api.submitted()
            await api.submitted()
            slow = await api.ask("POST", "/v1/jobs", json=HELLO)
            assert problem_of(slow) == "submit-rate"
            assert int(slow.headers["retry-after"]) >= 90
            assert await api.submitted(key="bob")
            assert (await api.ask("GET", "/v1/jobs", key="bob")).status == 200

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("reason", "name", "status"),
    [
        ("tenant_backlog", "tenant-backlog", 429),
        ("daily_cpu", "daily-quota", 429),
        ("total_backlog", "total-backlog", 503),
        ("storage", "storage-short", 503),
    ],
)
def test_every_refusal_says_when_to_come_back(
    reason: Literal["tenant_backlog", "daily_cpu", "total_backlog", "storage"], name: str, status: int
) -> None:
    async def scenario() -> None:
        async with running() as api:
            api.queue.refuse = Refused(reason=reason, detail="too much", retry_after_s=7.2)
            for path in ("/v1/jobs", "/v1/batches"):
                reply = await api.ask("POST", path, json=BODIES[path])
                assert problem_of(reply) == name
                assert (reply.status, reply.headers["retry-after"], reply.json()["retry_after_s"]) == (status, "8", 7.2)

    asyncio.run(scenario())


def test_a_store_that_is_down_is_a_503_everywhere_and_then_forgotten() -> None:
    async def scenario() -> None:
        async with running() as api:
            api.queue.broken = True
            for method, path in TENANT_ENDPOINTS:
                if path in {"/v1/runtimes", "/v1/audit"} or "callbacks" in path:
                    continue  # known without the queue
                reply = await ask(api, method, path, "ada")
                assert problem_of(reply) == "store-unavailable", path
                assert "fire" not in reply.body.decode()
            assert problem_of(await api.ask("GET", "/readyz", key=None)) == "store-unavailable"
            assert (await api.ask("GET", "/healthz", key=None)).status == 200
            api.queue.broken = False
            assert (await api.ask("GET", "/readyz", key=None)).status == 200
            await api.submitted()
            api.identities.broken = True
            assert problem_of(await api.ask("GET", "/v1/jobs")) == "store-unavailable"

    asyncio.run(scenario())


def test_a_fault_of_ours_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with running() as api:
            api.queue.poison = "poison"
            reply = await api.ask("POST", "/v1/jobs", json=HELLO | {"source": "poison"})
            assert problem_of(reply) == "internal-error"
            assert b"poison" not in reply.body
            batch = await api.ask("POST", "/v1/batches", json={"jobs": [HELLO | {"source": "poison"}]})
            assert problem_of(batch) == "internal-error"

    asyncio.run(scenario())
    assert "request failed" in caplog.text


def test_a_full_house_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "ACTIVE", 0)

    async def scenario() -> None:
        async with running() as api:
            assert problem_of(await api.ask("GET", "/v1/jobs")) == "overloaded"

    asyncio.run(scenario())
