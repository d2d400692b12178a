"""Incidents by HTTP: read, act, explain."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.netpulse.api.harness import Api, looped, running


async def standing(api: Api, title: str) -> dict[str, Any]:
    """The standing incident whose title begins so."""
    found = (await api.ok("GET", "/v1/incidents?standing=true"))["incidents"]
    incident: dict[str, Any] = next(each for each in found if each["title"].startswith(title))
    return incident


@looped
async def test_incidents_come_newest_first_in_pages_that_do_not_overlap() -> None:
    async with running() as api:
        found, before = [], ""
        for _ in range(10):
            page = await api.ok("GET", f"/v1/incidents?limit=10{before}", key="viewer")
            found += [each["id"] for each in page["incidents"]]
            if page["next"] is None:
                break
            before = f"&before={page['next']}"
        assert len(found) == len(set(found)) == len(api.netpulse.scene.incidents)
        assert found == sorted(found, reverse=True)


@looped
async def test_incidents_are_found_by_monitor_and_by_whether_they_stand() -> None:
    async with running() as api:
        mine = await api.ok("GET", "/v1/incidents?monitor=queue&standing=true")
        assert [each["title"] for each in mine["incidents"]] == ["Host h7: 3 monitors are down"]
        over = await api.ok("GET", "/v1/incidents?standing=false")
        assert {each["state"] for each in over["incidents"]} == {"resolved"}


@looped
async def test_acknowledging_says_who_and_is_written_down_and_once_more_changes_nothing() -> None:
    async with running() as api:
        id = (await standing(api, "Checkout"))["id"]
        first = await api.ok("POST", f"/v1/incidents/{id}/ack", key="editor")
        assert (first["state"], first["acknowledged_by"]) == ("acknowledged", "k-editor")
        again = await api.ok("POST", f"/v1/incidents/{id}/ack", key="admin")
        assert again["acknowledged_by"] == "k-editor"
        assert api.actions[0] == ("k-editor", "incident.acknowledge", id)


@looped
async def test_a_resolved_incident_cannot_be_acknowledged() -> None:
    async with running() as api:
        id = (await standing(api, "Checkout"))["id"]
        assert (await api.ok("POST", f"/v1/incidents/{id}/resolve", key="editor"))["state"] == "resolved"
        problem = await api.refused("POST", f"/v1/incidents/{id}/ack", key="editor")
        assert (problem["status"], problem["type"]) == (409, "/problems/conflict")


@looped
async def test_a_note_is_a_line_of_the_timeline() -> None:
    async with running() as api:
        id = (await standing(api, "Checkout"))["id"]
        reply = await api.ask("POST", f"/v1/incidents/{id}/notes", key="editor", json={"text": " rolled back "})
        assert reply.status == 201
        timeline = await api.ok("GET", f"/v1/incidents/{id}/timeline", key="viewer")
        assert (timeline[-1]["text"], timeline[-1]["actor"]) == ("rolled back", "k-editor")


@pytest.mark.parametrize("body", [{"text": " "}, {"text": "x" * 4001}, {"text": 1}, {}, {"txt": "x"}])
@looped
async def test_a_note_without_sense_is_refused(body: dict[str, Any]) -> None:
    async with running() as api:
        id = (await standing(api, "Checkout"))["id"]
        problem = await api.refused("POST", f"/v1/incidents/{id}/notes", json=body)
        assert problem["status"] == 422
        assert problem["field"] in {"text", "txt"}


@looped
async def test_an_incident_explains_itself() -> None:
    async with running() as api:
        id = (await standing(api, "Checkout"))["id"]
        story = await api.ok("GET", f"/v1/incidents/{id}/explain", key="viewer")
        assert story["ledger"][0]["threshold"] > 0
        assert any("no parent explains it" in each.lower() for each in story["sentences"])
        assert {each["state"] for each in story["notices"]} == {"sent", "waiting"}


@looped
async def test_another_tenants_incident_does_not_exist_and_the_platforms_is_everybodys() -> None:
    async with running() as api:
        id = (await standing(api, "Checkout"))["id"]
        for method, path in (("GET", ""), ("GET", "/timeline"), ("GET", "/explain"), ("POST", "/ack")):
            assert (await api.refused(method, f"/v1/incidents/{id}{path}", key="other"))["status"] == 404
        theirs = await api.ok("GET", "/v1/incidents", key="other")
        assert [each["title"] for each in theirs["incidents"]] == ["Region ap is blind"]


@pytest.mark.parametrize("id", ["inc_", "nothing", "inc_0'--", "inc_" + "9" * 41])
@looped
async def test_what_is_no_id_is_not_found(id: str) -> None:
    async with running() as api:
        assert (await api.refused("GET", f"/v1/incidents/{id}"))["status"] == 404
