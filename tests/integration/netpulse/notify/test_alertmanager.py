"""A real Alertmanager: what it takes from us, and what we read of what it sends."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from holdfast.netpulse.core.delivery import Refused, Sent
from holdfast.netpulse.core.incident import Incident, State
from holdfast.netpulse.core.ports import ForeignAlert
from holdfast.netpulse.core.settings import AlertmanagerChannel, ChannelSettings
from holdfast.netpulse.shell.notify import Notifier, alertmanager
from holdfast.netpulse.shell.notify.receiving import parse
from holdfast.testing import eventually
from tests.integration.netpulse.notify.services import Service, serving, tell
from tests.machine import free_port, require_tool
from tests.unit.netpulse.notify.memory import NOW, Outbox, incident, notice, settings

pytestmark = pytest.mark.anyio

CONFIG = """
route: {{receiver: back, group_by: [incident], group_wait: 100ms, group_interval: 300ms, repeat_interval: 1h}}
receivers:
  - name: back
    webhook_configs: [{{url: "{url}/in", send_resolved: true}}]
"""


@dataclass
class Alertmanager:
    """One that runs, and what its webhook receiver got."""

    url: str
    receiver: Service

    @property
    def channel(self) -> ChannelSettings:
        return ChannelSettings(allow_private=True, alertmanager=AlertmanagerChannel(url=self.url))

    async def alerts(self) -> list[dict[str, Any]]:
        async with aiohttp.ClientSession() as client, client.get(f"{self.url}/api/v2/alerts") as answer:
            return list(await answer.json())

    def received(self) -> list[ForeignAlert]:
        return [alert for call in self.receiver.calls for alert in parse(msgspec.json.encode(call.body))]


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Alertmanager]:
    program = require_tool("prometheus-alertmanager")
    async with serving(lambda _: web.Response()) as receiver:
        config = tmp_path / "alertmanager.yml"
        config.write_text(CONFIG.format(url=receiver.url))
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={config}",
            f"--storage.path={tmp_path}",
            "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            await eventually(lambda: _listens(port), "Alertmanager listens", within_s=20)
            yield Alertmanager(f"http://127.0.0.1:{port}", receiver)
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def standing(**changes: Any) -> Incident:
    now = time.time()
    return incident(began=now - 30, detected=now - 10, opened=now - 10, **changes)


async def test_an_incident_is_an_alert_from_its_opening_to_its_end(tmp_path: Path) -> None:
    about = standing()
    async with running(tmp_path) as am:
        now = time.time()
        assert await tell(am.channel, "opened", about, now=now) == Sent()
        assert await tell(am.channel, "opened", about, now=now) == Sent()  # a repetition
        (alert,) = await am.alerts()
        assert alert["status"]["state"] == "active"
        assert alert["labels"] == {
            "alertname": "HoldfastIncident",
            "incident": "inc_1",
            "tenant": "default",
            "severity": "page",
            "condition": "down",
        }
        assert alert["annotations"]["title"] == "[DOWN] shop is down"
        await eventually(lambda: [each.active for each in am.received()] == [True], within_s=10)
        over = standing(state=State.RESOLVED, resolved=time.time())
        assert await tell(am.channel, "resolved", over, now=time.time()) == Sent()
        await eventually(lambda: [each.active for each in am.received()] == [True, False], within_s=10)
        assert await am.alerts() == []
        opened, resolved = am.received()
    assert opened.fingerprint == resolved.fingerprint == alert["fingerprint"]
    assert opened.labels["incident"] == "inc_1"
    assert abs(opened.starts - about.began) < 0.01


async def test_an_acknowledgement_has_no_counterpart_there_and_is_no_request() -> None:
    async with serving(lambda _: web.Response()) as service:
        channel = ChannelSettings(allow_private=True, alertmanager=AlertmanagerChannel(url=service.url))
        assert await tell(channel, "acknowledged", incident(state=State.ACKNOWLEDGED)) == Sent("nothing to say")
    assert service.calls == []


async def test_what_alertmanager_does_not_take_is_refused_with_its_words(tmp_path: Path) -> None:
    async with running(tmp_path) as am:
        ended = standing(state=State.RESOLVED, resolved=NOW, id="")
        outcome = await tell(am.channel, "resolved", ended, now=time.time())
        assert isinstance(outcome, Sent)  # an empty label is no label
        wrong = ChannelSettings(allow_private=True, alertmanager=AlertmanagerChannel(url=f"{am.url}/elsewhere"))
        assert isinstance(await tell(wrong), Refused)


async def test_a_standing_incident_is_told_again_and_again_and_its_end_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alertmanager, "RESEND_S", 0.02)
    outbox = Outbox()
    outbox.owe(notice(), notice(of=incident("inc_2"), channel="other"))
    async with serving(lambda _: web.Response()) as service:
        channel = ChannelSettings(
            allow_private=True, alertmanager=AlertmanagerChannel(url=service.url, username="u", password="p")
        )
        notifier = Notifier(outbox, settings(ops=channel), lambda *_: "", clock=time.time, rng=Random(1))
        task = asyncio.create_task(notifier.run())
        await eventually(lambda: len(service.calls) > 4)
        over = incident(state=State.RESOLVED, resolved=NOW + 60, revision=4)
        outbox.book["inc_1"] = over
        outbox.owe(notice("resolved", over, cause=4, at=NOW + 60))
        notifier.wake()
        await eventually(lambda: outbox.rows["inc_1/4/resolved/ops"].state == "sent")
        said = len(service.calls)
        await asyncio.sleep(0.1)
        notifier.close()
        await task
    assert len(service.calls) == said
    *before, last = [call.body for call in service.calls]
    assert all(body[0]["labels"]["incident"] == "inc_1" and body[0]["endsAt"] > _now() for body in before)
    assert last[0]["endsAt"] <= _now()
    assert service.calls[0].headers["authorization"].startswith("Basic ")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


@pytest.mark.parametrize("given", ["{url}", "{url}/", "{url}/api/v2/alerts"])
async def test_the_address_may_be_written_with_and_without_the_path(given: str) -> None:
    async with serving(lambda _: web.Response()) as service:
        channel = AlertmanagerChannel(url=given.format(url=service.url))
        await tell(ChannelSettings(allow_private=True, alertmanager=channel))
    assert service.calls[0].path == "/api/v2/alerts"
