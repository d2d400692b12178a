"""The status page's routes in the API's application: who needs a key, and who does not."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import pytest
from litestar import Router

from holdfast.netpulse.shell.status import Desk, StatusUpdates, Subscribers, subscribe_router, writing_router
from holdfast.testing.netpulse import ScriptedNetpulse
from tests.integration.netpulse.api.harness import Api, running
from tests.unit.netpulse.status.documents import Memory, Outgoing

MEMORY = Memory()


def routers(netpulse: ScriptedNetpulse) -> Sequence[Router]:
    """Both, over memory."""
    subscribers = Subscribers(
        MEMORY,
        Outgoing(),
        title="Acme",
        api_url="https://pulse.example",
        by_mail=True,
        wall=time.time,
        entropy=os.urandom,
    )
    return subscribe_router(subscribers), writing_router(Desk(StatusUpdates(MEMORY), netpulse, wall=time.time))


async def _standing(api: Api) -> str:
    return str((await api.ok("GET", "/v1/incidents?standing=true&monitor=checkout"))["incidents"][0]["id"])


async def test_anybody_may_subscribe_by_a_form_without_a_key() -> None:
    async with running(more=routers) as api:
        form = {"kind": "email", "target": "ada@example.org"}
        reply = await api.ask("POST", "/v1/status/subscribers", key=None, data=form)
        assert reply.status == 202
        assert (await api.ask("GET", "/v1/status/subscribers/confirm?token=x", key=None)).status == 200
        large = {"kind": "email", "target": "a" * 5000}
        assert (await api.ask("POST", "/v1/status/subscribers", key=None, data=large)).status == 413


async def test_an_editor_writes_what_the_public_reads() -> None:
    MEMORY.kept.clear()
    async with running(more=routers) as api:
        path = f"/v1/status/incidents/{await _standing(api)}/updates"
        body = {"status": "identified", "body": "A cable was cut."}
        assert (await api.ok("POST", path, key="editor", json=body))["status"] == "identified"
        assert [it["body"] for it in (await api.ok("GET", path, key="viewer"))["updates"]] == ["A cable was cut."]


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        (None, {"status": "identified", "body": "x"}, 401),
        ("viewer", {"status": "identified", "body": "x"}, 403),
        ("other", {"status": "identified", "body": "x"}, 404),
        ("editor", {"status": "broken", "body": "x"}, 422),
        ("editor", {"status": "identified"}, 422),
    ],
)
async def test_nobody_else_does_and_nothing_else_is_written(key: str | None, body: dict[str, str], status: int) -> None:
    MEMORY.kept.clear()
    async with running(more=routers) as api:
        path = f"/v1/status/incidents/{await _standing(api)}/updates"
        assert (await api.refused("POST", path, key=key, json=body))["status"] == status
        assert MEMORY.kept == {}
