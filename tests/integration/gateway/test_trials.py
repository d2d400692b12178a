"""Canaries and shadows of a gateway that runs, against the scripted provider."""

from __future__ import annotations

from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.gateway.core.settings import EvaluationSettings, GraderSettings
from holdfast.gateway.shell.evaluations.running import run
from holdfast.testing.gateway import mock_provider
from tests.integration.gateway.stack import PRICE, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.integration.gateway.stack import Stack

CANDIDATE = {"provider": "mock", "model": "mock-large", "price": PRICE}
GONE = {"provider": "gone", "model": "mock-large", "price": PRICE}


@asynccontextmanager
async def trying(directory: Path | None = None, **extra: Any) -> AsyncIterator[Stack]:
    """A gateway whose model ``demo`` has a canary or a shadow."""
    async with mock_provider() as provider:
        mock = {"protocol": "openai", "url": f"{provider.url}/v1", "private": True, "auth": "none"}
        own = {"provider": "mock", "model": "mock-small", "price": PRICE}
        settings = {
            "providers": {"mock": mock, "gone": mock | {"url": "http://127.0.0.1:9/v1"}},
            "models": {"demo": {"deployments": [own], **extra}},
            "retry": {"budget_floor_per_s": 1000.0},
            "health": {"consecutive": 1000, "minimum_volume": 100_000},
        }
        async with running_gateway(settings, directory=directory) as stack:
            yield stack


async def attempts(stack: Stack) -> list[tuple[str, str, int]]:
    await stack.settle()
    database = stack.gateway.trials._database
    assert database is not None
    rows = await database.read(lambda tx: tx.all("SELECT tenant, deployment, shadow FROM gateway_attempts"))
    return [(str(tenant), str(deployment), int(shadow)) for tenant, deployment, shadow in rows]


async def test_a_candidate_gets_its_share_first() -> None:
    async with trying(canary={"deployment": CANDIDATE, "percent": 100.0}) as stack:
        reply = await stack.chat()
        assert reply.headers["x-holdfast-deployment"] == "mock/mock-large"
        assert stack.gateway.trials.state()["demo"]["canary"]["verdict"] == "going"


async def test_one_user_stays_on_one_side() -> None:
    async with trying(canary={"deployment": CANDIDATE, "percent": 50.0}) as stack:
        sides = {
            user: {(await stack.chat(user=user)).headers["x-holdfast-deployment"] for _ in range(4)}
            for user in ("ann", "ben", "cleo", "dora", "emil", "fay", "gus", "hal")
        }
        assert all(len(each) == 1 for each in sides.values())
        assert len(set.union(*sides.values())) == 2


async def test_a_candidate_that_fails_is_rolled_back_and_no_client_notices(tmp_path: Path) -> None:
    canary = {"deployment": GONE, "percent": 50.0, "minimum_requests": 20}
    async with trying(tmp_path, canary=canary) as stack:
        for _ in range(120):
            assert (await stack.chat()).status == 200
        state = stack.gateway.trials.state()["demo"]["canary"]
        assert (state["verdict"], state["reason"]) == ("rolled_back", "errors")
        assert state["figures"]["error_rate"] == 1.0
        reply = await stack.chat()
        assert reply.headers["x-holdfast-attempts"] == "1"
    async with trying(tmp_path, canary=canary) as stack:
        assert stack.gateway.trials.state()["demo"]["canary"]["verdict"] == "rolled_back", "a restart forgets nothing"
    async with trying(tmp_path, canary=canary | {"percent": 40.0}) as stack:
        assert stack.gateway.trials.state()["demo"]["canary"]["verdict"] == "going", "another candidate begins anew"


async def test_a_shadow_gets_copies_that_another_tenant_pays() -> None:
    async with trying(shadow={"deployment": CANDIDATE, "percent": 100.0}) as stack:
        for stream in (False, True):
            reply = await stack.chat(stream=stream)
            assert reply.headers["x-holdfast-deployment"] == "mock/mock-small"
        await stack.gateway.trials.wait_idle()
        shadow = stack.gateway.trials.state()["demo"]["shadow"]
        assert shadow["outcomes"] == {"ok": 2}
        assert shadow["cost_nano"] > 0
        seen = await attempts(stack)
        assert sorted(seen) == [("local", "mock/mock-small", 0)] * 2 + [("shadow:local", "mock/mock-large", 1)] * 2


async def test_a_shadow_that_is_gone_costs_the_client_nothing() -> None:
    async with trying(shadow={"deployment": GONE, "percent": 100.0}) as stack:
        reply = await stack.chat()
        assert (reply.status, reply.headers["x-holdfast-attempts"]) == (200, "1")
        await stack.gateway.trials.wait_idle()
        assert stack.gateway.trials.state()["demo"]["shadow"]["outcomes"] == {"connect": 1}


async def test_answers_of_a_candidate_are_graded_streamed_or_not() -> None:
    canary = {"deployment": CANDIDATE, "percent": 100.0, "evaluation": "terse", "min_score": 0.9}
    async with trying(canary=canary) as stack:
        graders = ({"kind": "keyword", "keywords": ["nobody-says-this"]},)
        terse = msgspec.convert({"cases": "x", "graders": graders}, EvaluationSettings)
        stack.gateway.settings = msgspec.structs.replace(stack.gateway.settings, evaluations={"terse": terse})
        for stream in (False, True):
            for _ in range(24):
                assert (await stack.chat(stream=stream)).status == 200
        await stack.gateway.trials.wait_idle()
        assert stack.gateway.trials.state()["demo"]["canary"]["graded"] > 0


async def test_a_set_is_asked_through_the_gateway_and_graded(tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    cases.write_text('{"messages": [{"role": "user", "content": "hi"}], "keywords": ["nobody-says-this"]}\n' * 3)
    settings = EvaluationSettings(cases=str(cases), graders=(GraderSettings(kind="keyword"),))
    async with trying() as stack:
        report = await run("x", settings, "demo", url=stack.url, key="", rng=Random(1), against="mock/mock-large")
    assert [each.error for each in report.cases] == ["", "", ""]
    assert (report.summary.mean, report.summary.count) == (0.0, 3)
    assert report.difference is not None
