"""Runs from a message to their end: a scripted model, real tools on loopback, a real store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from holdfast.gateway.core.conversation import Text, ToolResult
from holdfast.gateway.core.run_events import ModelAsked
from holdfast.gateway.errors import Refused
from tests.integration.gateway.sessions.stage import NOW, ScriptedModel, staged
from tests.integration.gateway.tools.stage import served

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
ACME = {"x-tenant": "acme"}


def weather(url: str, **more: Any) -> dict[str, Any]:
    return {"weather": {"description": "The weather.", "http": {"url": url, "private": True}, **more}}


async def sunny(request: web.Request) -> web.Response:
    return web.json_response({"sun": True})


async def test_a_run_plans_calls_its_tools_answers_and_checks_its_answer(tmp_path: Path) -> None:
    script = ["1. ask weather", ("weather", '{"city": "Kiel"}'), "It is sunny.", "PASS"]
    async with served(sunny) as url, staged(tmp_path, script, tools=weather(url)) as stage:
        run = await stage.run("How is Kiel?")
        stored = await stage.sessions.store.events(run["id"])
    assert (run["state"], run["answer"], run["verdict"]) == ("succeeded", "It is sunny.", "passed")
    assert (run["steps"], run["cost"]) == (4, "$0.000004")
    assert [type(each.event).__name__ for each in stored] == [
        *("Queued", "ModelAsked", "ModelAnswered", "ModelAsked", "ModelAnswered", "ToolAsked", "ToolAnswered"),
        *("ModelAsked", "ModelAnswered", "ModelAsked", "ModelAnswered", "Ended"),
    ]
    (result,) = [part for part in stage.model.asked[2][1].messages[-1].parts if isinstance(part, ToolResult)]
    assert result.parts == (Text(text='{"sun": true}'),)
    assert [tool.name for tool in stage.model.asked[1][1].tools] == ["weather"]
    assert {holder.key_id for holder, _ in stage.model.asked} == {"k-acme"}


async def test_an_answer_that_fails_its_check_is_mended(tmp_path: Path) -> None:
    async with staged(tmp_path, ["41", "FAIL: it is 42", "42", "PASS"]) as stage:
        run = await stage.run(plan=False)
        assert (run["state"], run["answer"], run["verdict"]) == ("succeeded", "42", "passed")
        told = stage.model.asked[2][1].messages[-1].parts[0]
        assert isinstance(told, Text)
        assert "it is 42" in told.text


async def test_a_schema_is_the_check_where_there_is_one(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    async with staged(tmp_path, ["forty-two", '```json\n{"n": 42}\n```']) as stage:
        run = await stage.run(plan=False, schema=schema)
        assert (run["state"], run["verdict"], run["steps"]) == ("succeeded", "passed", 2)


async def test_a_check_that_says_neither_yes_nor_no_is_told(tmp_path: Path) -> None:
    async with staged(tmp_path, ["42", "I think so."]) as stage:
        run = await stage.run(plan=False)
        assert (run["state"], run["verdict"], run["reason"]) == ("succeeded", "unclear", "unclear")


async def test_a_run_ends_when_its_steps_or_its_money_are_used_up(tmp_path: Path) -> None:
    async with staged(tmp_path, ["41", "FAIL: no"] * 10, sessions={"max_steps": 3}) as stage:
        run = await stage.run(plan=False)
        assert (run["state"], run["reason"], run["steps"]) == ("exhausted", "steps", 3)
        assert run["answer"] == "41"
    model = ScriptedModel(["41", "FAIL: no"] * 10, cost_nano=600_000_000)
    async with staged(tmp_path, [], model=model) as stage:
        run = await stage.run(plan=False)
        assert (run["state"], run["reason"], run["cost"]) == ("exhausted", "budget", "$1.20")


async def test_what_the_data_plane_refuses_is_why_a_run_failed(tmp_path: Path) -> None:
    async with staged(tmp_path, [Refused("budget_exhausted", "the key k has spent its day's budget")]) as stage:
        run = await stage.run()
        assert (run["state"], run["reason"]) == ("failed", "budget_exhausted")
        assert "budget" in run["message"]


async def test_a_tool_that_fails_is_told_to_the_model_and_the_run_goes_on(tmp_path: Path) -> None:
    script = [("weather", "{broken"), ("nonsense", "{}"), "I could not find out.", "PASS"]
    async with staged(tmp_path, script, tools=weather("http://127.0.0.1:1")) as stage:
        run = await stage.run(plan=False)
        assert run["state"] == "succeeded"
        results = [
            part
            for message in stage.model.asked[-1][1].messages
            for part in message.parts
            if isinstance(part, ToolResult)
        ]
        assert [result.is_error for result in results] == [True, True]


async def test_a_key_that_is_revoked_ends_its_runs(tmp_path: Path) -> None:
    async with staged(tmp_path, ["plan"]) as stage:
        stage.keys.revoked.add("k-acme")
        run = await stage.run()
        assert (run["state"], run["reason"]) == ("failed", "unauthenticated")
        assert stage.model.asked == []


async def test_a_cancelled_run_ends_in_the_middle_of_a_step(tmp_path: Path) -> None:
    async with staged(tmp_path, ["stuck"]) as stage:
        made = (await stage.client.post("/v1/sessions", json={"model": "m"}, headers=ACME)).json()
        path = f"/v1/sessions/{made['id']}/messages"
        run = (await stage.client.post(path, json={"content": "x"}, headers=ACME)).json()
        await stage.model.began.wait()
        refused = await stage.client.post(path, json={"content": "y"}, headers=ACME)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflict")
        assert (await stage.client.post(f"/v1/runs/{run['id']}/cancel", headers=ACME)).status_code == 202
        assert (await stage.ended(run["id"]))["state"] == "cancelled"


async def test_a_message_that_is_sent_twice_is_one_run(tmp_path: Path) -> None:
    async with staged(tmp_path, ["42"]) as stage:
        made = (await stage.client.post("/v1/sessions", json={"model": "m"}, headers=ACME)).json()
        path = f"/v1/sessions/{made['id']}/messages"
        headers = {**ACME, "Idempotency-Key": "once"}
        body = {"content": "x", "plan": False, "verify": False}
        first = await stage.client.post(path, json=body, headers=headers)
        await stage.ended(first.json()["id"])
        again = await stage.client.post(path, json=dict(reversed(body.items())), headers=headers)
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        assert again.json()["answer"] == "42"
        other = await stage.client.post(path, json={**body, "content": "y"}, headers=headers)
        assert (other.status_code, other.json()["type"]) == (409, "/problems/idempotency-conflict")
        assert len(stage.model.asked) == 1


async def test_a_session_remembers_what_was_said(tmp_path: Path) -> None:
    async with staged(tmp_path, ["I am Holdfast.", "I said so."]) as stage:
        made = (
            await stage.client.post("/v1/sessions", json={"model": "m", "system": "Be brief."}, headers=ACME)
        ).json()
        for content in ("Who are you?", "Who?"):
            body = {"content": content, "plan": False, "verify": False}
            run = await stage.client.post(f"/v1/sessions/{made['id']}/messages", json=body, headers=ACME)
            await stage.ended(run.json()["id"])
        said = [message.parts[0].text for message in stage.model.asked[1][1].messages]  # type: ignore[union-attr]
        assert said[1:] == ["Who are you?", "I am Holdfast.", "Who?"]
        assert said[0].startswith("Be brief.")
        found = (await stage.client.get(f"/v1/sessions/{made['id']}", headers=ACME)).json()
        assert [each["state"] for each in found["runs"]] == ["succeeded", "succeeded"]


async def test_another_tenant_sees_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path, ["42"]) as stage:
        run = await stage.run(plan=False, verify=False)
        session = run["session"]
        other = {"x-tenant": "other"}
        for method, path in (
            ("GET", f"/v1/sessions/{session}"),
            ("POST", f"/v1/sessions/{session}/messages"),
            ("GET", f"/v1/runs/{run['id']}"),
            ("GET", f"/v1/runs/{run['id']}/stream"),
            ("POST", f"/v1/runs/{run['id']}/cancel"),
        ):
            answer = await stage.client.request(method, path, json={"content": "x"}, headers=other)
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found"), path


async def test_a_stream_replays_what_happened_and_goes_on_after_the_last_event_that_was_seen(tmp_path: Path) -> None:
    async with staged(tmp_path, ["42"]) as stage:
        run = await stage.run(plan=False, verify=False)
        path = f"/v1/runs/{run['id']}/stream"
        whole = (await stage.client.get(path, headers=ACME)).text
        assert [line for line in whole.splitlines() if line.startswith(("id:", "event:"))] == [
            *("id: 1", "event: queued", "id: 2", "event: model_asked", "id: 3", "event: model_answered"),
            *("id: 4", "event: ended"),
        ]
        rest = (await stage.client.get(path, headers={**ACME, "Last-Event-ID": "3"})).text
        assert "id: 3" not in rest
        assert "id: 4" in rest
        assert (await stage.client.get(path, headers={**ACME, "Last-Event-ID": "4"})).status_code == 204
        assert (await stage.client.get(path, headers={**ACME, "Last-Event-ID": "x"})).status_code == 422


async def test_who_watches_is_told_of_an_event_when_it_happens(tmp_path: Path) -> None:
    async with staged(tmp_path, ["stuck"]) as stage:
        made = (await stage.client.post("/v1/sessions", json={"model": "m"}, headers=ACME)).json()
        path = f"/v1/sessions/{made['id']}/messages"
        run = (await stage.client.post(path, json={"content": "x"}, headers=ACME)).json()
        await stage.model.began.wait()
        names: list[str] = []
        async with asyncio.timeout(10.0):
            async for page in stage.sessions.following.events(run["id"], after=0):
                names += [type(each.event).__name__ for each in page]
                if names == ["Queued", "ModelAsked"]:
                    await stage.sessions.store.cancel("acme", run["id"], now=NOW)
        assert names == ["Queued", "ModelAsked", "Ended"]


async def test_a_run_goes_on_in_the_next_process(tmp_path: Path) -> None:
    async with staged(tmp_path, ["the plan", "stuck"]) as stage:
        made = (await stage.client.post("/v1/sessions", json={"model": "m"}, headers=ACME)).json()
        path = f"/v1/sessions/{made['id']}/messages"
        run = (await stage.client.post(path, json={"content": "x"}, headers=ACME)).json()
        await stage.model.began.wait()
        _, task = stage.sessions.runner._active[run["id"]]
        task.cancel()  # as a process that dies: nothing more is written
    async with staged(tmp_path, ["42", "PASS"]) as stage:
        found = await stage.ended(run["id"])
        assert (found["state"], found["answer"], found["steps"], found["unpriced_steps"]) == ("succeeded", "42", 4, 1)
        events = [each.event for each in await stage.sessions.store.events(run["id"])]
    assert "Resumed" in [type(event).__name__ for event in events]
    assert sum(isinstance(event, ModelAsked) and event.purpose == "plan" for event in events) == 1


async def test_a_run_whose_process_died_while_a_tool_changed_something_is_interrupted(tmp_path: Path) -> None:
    began = asyncio.Event()

    async def stuck(request: web.Request) -> web.Response:
        began.set()
        await asyncio.Event().wait()
        return web.Response()

    async with served(stuck) as url:
        tools = weather(url, scope="write")
        async with staged(tmp_path, [("weather", "{}")], tools=tools) as stage:
            made = (await stage.client.post("/v1/sessions", json={"model": "m"}, headers=ACME)).json()
            path = f"/v1/sessions/{made['id']}/messages"
            run = (await stage.client.post(path, json={"content": "x", "plan": False}, headers=ACME)).json()
            await began.wait()
            _, task = stage.sessions.runner._active[run["id"]]
            task.cancel()
        async with staged(tmp_path, [], tools=tools) as stage:
            found = await stage.ended(run["id"])
    assert (found["state"], found["reason"]) == ("interrupted", "tool_unknown")
    assert "weather" in found["message"]


async def test_a_tenant_does_not_take_all_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.gateway.shell.sessions.runner.GRACE_S", 0.0)
    async with staged(tmp_path, ["stuck", "42"], sessions={"concurrent": 2}) as stage:
        for _ in range(3):
            made = (await stage.client.post("/v1/sessions", json={"model": "m"}, headers=ACME)).json()
            path = f"/v1/sessions/{made['id']}/messages"
            await stage.client.post(path, json={"content": "x", "plan": False, "verify": False}, headers=ACME)
        await stage.model.began.wait()
        run = await stage.run(tenant="other", plan=False, verify=False)
        assert run["state"] == "succeeded"
        assert stage.sessions.runner.active == 1


async def test_a_session_asks_for_what_there_is(tmp_path: Path) -> None:
    async with staged(tmp_path, []) as stage:
        for body, field in (
            ({}, "model"),
            ({"model": "m", "tools": ["nothing"]}, "tools"),
            ({"model": "m", "metadata": {"a": "x" * 5000}}, "metadata"),
            ({"model": "m", "nonsense": 1}, None),
        ):
            answer = await stage.client.post("/v1/sessions", json=body, headers=ACME)
            assert answer.status_code == 422
            if field:
                assert answer.json()["field"] == field
        made = (await stage.client.post("/v1/sessions", json={"model": "m"}, headers=ACME)).json()
        path = f"/v1/sessions/{made['id']}/messages"
        for message in (
            {},
            {"content": ""},
            {"content": "x", "schema": {"$ref": "http://x"}},
            {"content": "x", "schema": {"type": "nonsense"}},
            {"content": "x" * 200_001},
        ):
            assert (await stage.client.post(path, json=message, headers=ACME)).status_code == 422, message


async def test_an_error_of_ours_ends_a_run_instead_of_beginning_it_anew_for_ever(tmp_path: Path) -> None:
    async with staged(tmp_path, []) as stage:  # a script without a line: the model raises what nobody foresees
        run = await stage.run()
        assert (run["state"], run["reason"]) == ("failed", "internal")
