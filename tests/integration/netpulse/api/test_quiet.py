"""Silences and maintenance by HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.netpulse.api.harness import looped, running

WINDOW = {"start": "2030-01-06T02:00", "duration": "2h", "rrule": "FREQ=WEEKLY;BYDAY=SU", "match": {"group": "Data"}}


@looped
async def test_a_silence_lasts_as_long_as_it_is_told_and_can_be_ended() -> None:
    async with running() as api:
        body = {"match": {"group": "Shop"}, "for": "2h", "comment": "moving"}
        made = await api.ok("POST", "/v1/silences", key="editor", json=body)
        assert (made["match"], made["created_by"]) == ({"group": "Shop"}, "k-editor")
        assert made["id"] in [each["id"] for each in (await api.ok("GET", "/v1/silences"))["silences"]]
        assert (await api.ask("DELETE", f"/v1/silences/{made['id']}", key="editor")).status == 204
        assert made["id"] not in [each["id"] for each in (await api.ok("GET", "/v1/silences"))["silences"]]
        assert [action for _, action, _ in api.actions] == ["silence.create", "silence.end"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"match": {}, "for": "1h"}, "match"),
        ({"match": {"no label!": "x"}, "for": "1h"}, "match.no label!"),
        ({"match": {"monitor": "web"}}, "ends"),
        ({"match": {"monitor": "web"}, "for": "1h", "ends": "2030-01-01T00:00:00Z"}, "ends"),
        ({"match": {"monitor": "web"}, "ends": "2020-01-01T00:00:00Z"}, "ends"),
        ({"match": {"monitor": "web"}, "for": "91d"}, "ends"),
        ({"match": {"monitor": "web"}, "for": "1h", "comment": "x" * 1001}, "comment"),
        ({"match": {"monitor": "web"}, "for": "1h", "until": "x"}, "until"),
    ],
)
@looped
async def test_a_silence_that_makes_no_sense_is_refused_by_its_field(body: dict[str, Any], field: str) -> None:
    async with running() as api:
        problem = await api.refused("POST", "/v1/silences", json=body)
        assert (problem["status"], problem["field"]) == (422, field)


@looped
async def test_another_tenants_silence_does_not_exist() -> None:
    async with running() as api:
        assert (await api.refused("DELETE", "/v1/silences/sil_cdn", key="other"))["status"] == 404
        assert (await api.ok("GET", "/v1/silences", key="other"))["silences"] == []


@looped
async def test_a_window_is_made_changed_and_removed_by_an_admin() -> None:
    async with running() as api:
        assert (await api.refused("PUT", "/v1/maintenance/sundays", key="editor", json=WINDOW))["status"] == 403
        assert (await api.ask("PUT", "/v1/maintenance/sundays", json=WINDOW)).status == 201
        assert (await api.ask("PUT", "/v1/maintenance/sundays", json=WINDOW | {"duration": "3h"})).status == 200
        found = (await api.ok("GET", "/v1/maintenance"))["maintenance"]
        mine = next(each for each in found if each["id"] == "sundays")
        assert (mine["source"], mine["duration"], mine["rrule"]) == ("api", "3h", WINDOW["rrule"])
        assert (await api.refused("POST", "/v1/maintenance", json=WINDOW | {"id": "sundays"}))["status"] == 409
        assert (await api.ask("DELETE", "/v1/maintenance/sundays")).status == 204
        assert (await api.refused("DELETE", "/v1/maintenance/sundays"))["status"] == 404


@looped
async def test_a_window_of_the_file_is_read_only() -> None:
    async with running() as api:
        for method, body in (("PUT", WINDOW), ("DELETE", None)):
            problem = await api.refused(method, "/v1/maintenance/reports-upgrade", json=body)
            assert problem["type"] == "/problems/read-only"
            assert "netpulse.maintenance.reports-upgrade" in problem["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start": "tomorrow"}, "start"),
        ({"start": "2030-01-06T02:00Z"}, "start"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"rrule": "FREQ=SECONDLY"}, "rrule"),
        ({"duration": 7200}, "duration"),
    ],
)
@looped
async def test_a_window_that_makes_no_sense_is_refused_by_its_field(change: dict[str, Any], field: str) -> None:
    async with running() as api:
        problem = await api.refused("PUT", "/v1/maintenance/sundays", json=WINDOW | change)
        assert (problem["status"], problem["field"]) == (422, field)
