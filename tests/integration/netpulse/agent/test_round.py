"""Rounds against a real engine on a real store, through the real listener, with real certificates and probes."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from holdfast.app import services
from holdfast.app.agent_bundle import NoBundle, unpacked
from holdfast.app.agent_function import one_round
from holdfast.app.services import InputError
from holdfast.kernel import Duration
from holdfast.netpulse.core.settings import AgentSettings, MonitorSettings, NetpulseSettings, RegionSettings, TcpCheck
from holdfast.netpulse.shell.agent import round as round_module
from holdfast.netpulse.shell.agents import AgentListener
from holdfast.netpulse.shell.certificates import ensure
from holdfast.netpulse.shell.engine import Runtime
from holdfast.netpulse.shell.records import NetpulseRecords
from tests.machine import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from holdfast.store import Database

pytestmark = pytest.mark.anyio

CONFIG = """\
netpulse:
  tenant: t
  regions: {eu: {embedded: false}}
  agents: {allow_private: true}
"""


@asynccontextmanager
async def watched(database: Database, directory: Path, port: int) -> AsyncIterator[tuple[Runtime, str]]:
    """An engine that has one target on this machine watched from ``eu``; and its address for agents."""
    monitor = MonitorSettings(
        tcp=TcpCheck(address=f"127.0.0.1:{port}"), interval=Duration(60.0), timeout=Duration(2.0), allow_private=True
    )
    settings = NetpulseSettings(
        tenant="t",
        regions={"eu": RegionSettings()},
        monitors={"web": monitor},
        agents=AgentSettings(heartbeat=Duration(60.0)),
    )
    await asyncio.to_thread(ensure, directory, ["127.0.0.1"], {"eu": "eu"})
    runtime = Runtime(settings, NetpulseRecords(database, settings.retention, rng=Random(1)), rng=Random(1))
    await runtime.open()
    running = asyncio.create_task(runtime.run(), name="engine under test")
    listener = AgentListener(runtime, listen="127.0.0.1:0", certificates=directory)
    await listener.start()
    try:
        yield runtime, listener.url
    finally:
        await listener.stop()
        runtime.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await runtime.close()


def secret(directory: Path) -> str:
    """As it is put into Secrets Manager: what ``holdfast netpulse certs agent`` made."""
    from holdfast.netpulse.shell.certificates import find_bundle

    bundle = find_bundle(directory, "eu")
    assert bundle is not None
    return json.dumps({"certificate": bundle.certificate.read_text(), "authority": bundle.authority.read_text()})


async def test_a_function_that_wakes_for_a_round_tells_the_engine_what_it_saw(
    database: Database, tmp_path: Path
) -> None:
    config = tmp_path / "holdfast.yaml"
    config.write_text(CONFIG)
    certificates = tmp_path / "engine"
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, watched(database, certificates, port) as (runtime, url):
        environ = {
            "HOLDFAST_AGENT_REGION": "eu",
            "HOLDFAST_AGENT_SECRET": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:eu-a1b2c3",
            "NETPULSE_ENGINE": url,
            "HOLDFAST_CONFIG": str(config),
        }
        asked: list[str] = []

        def fetch(arn: str) -> str:
            asked.append(arn)
            return secret(certificates)

        for _ in range(2):
            said = await asyncio.to_thread(one_round, environ, left_s=20.0, fetch=fetch, work=tmp_path / "work")
            assert said == {"due": 1, "probed": 1, "down": 0, "abandoned": 0, "blind": False}
        found = await runtime.monitors("t")
        assert [(each.id, each.state) for each in found] == [("web", "up")]
        assert runtime.presence.regions()["eu"].state == "seeing"
        assert asked == [environ["HOLDFAST_AGENT_SECRET"]] * 2
    key = tmp_path / "work" / "certificates" / "agent.pem"
    assert key.stat().st_mode & 0o077 == 0


async def settled(main: Coroutine[Any, Any, int], port: int) -> int:
    """The same, until the engine, which shares our process, has said goodbye to its connections over TLS."""
    status = await main
    async with asyncio.timeout(20):
        while connected(port):  # noqa: ASYNC110 - what is waited for is in the kernel
            await asyncio.sleep(0.01)
    return status


def connected(port: int) -> bool:
    """Whether a socket is open on the side that asked. proc_pid_net(5): addresses in hexadecimal, tenth the inode."""
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return any(int(each[2].rpartition(":")[2], 16) == port and each[9] != "0" for each in map(str.split, lines))


async def test_a_task_gets_its_bundle_in_the_environment_and_passes_it_on_to_nobody(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "holdfast.yaml"
    config.write_text(CONFIG)
    monkeypatch.setattr(round_module, "LINGER_S", 0.2)
    monkeypatch.setattr(services, "unpacked", partial(unpacked, work=tmp_path / "work"))
    port = free_port()
    monkeypatch.setattr(services, "run", lambda main: uvloop.run(settled(main, port)))
    async with watched(database, tmp_path / "engine", port) as (runtime, url):
        monkeypatch.setenv("NETPULSE_ENGINE", url)
        monkeypatch.setenv("HOLDFAST_AGENT_BUNDLE", secret(tmp_path / "engine"))
        assert await asyncio.to_thread(services.run_agent, config, "eu", None, once=True) == 0
        assert "HOLDFAST_AGENT_BUNDLE" not in os.environ
        (seen,) = await runtime.monitors("t")
        assert [last.outcome for last in seen.last] == ["down"]


def test_an_engine_that_is_not_there_fails_the_call_so_that_lambda_counts_it(tmp_path: Path) -> None:
    ensure(tmp_path / "engine", ["127.0.0.1"], {"eu": "eu"})
    config = tmp_path / "holdfast.yaml"
    config.write_text(CONFIG)
    environ = {
        "HOLDFAST_AGENT_REGION": "eu",
        "HOLDFAST_AGENT_SECRET": "arn",
        "NETPULSE_ENGINE": f"https://127.0.0.1:{free_port()}",
        "HOLDFAST_CONFIG": str(config),
    }
    from holdfast.netpulse.errors import NetpulseError

    with pytest.raises(NetpulseError, match="Connect"):
        one_round(environ, left_s=20.0, fetch=lambda _: secret(tmp_path / "engine"), work=tmp_path / "work")


@pytest.mark.parametrize("text", ["", "{}", '{"certificate": "x"}', "-----BEGIN PRIVATE KEY-----"])
def test_a_secret_of_another_form_is_refused_without_repeating_it(text: str, tmp_path: Path) -> None:
    config = tmp_path / "holdfast.yaml"
    config.write_text(CONFIG)
    environ = {"HOLDFAST_AGENT_REGION": "eu", "HOLDFAST_AGENT_SECRET": "arn", "HOLDFAST_CONFIG": str(config)}
    with pytest.raises(NoBundle, match="is not JSON of the form") as refused:
        one_round(environ, left_s=20.0, fetch=lambda _: text, work=tmp_path)
    assert "PRIVATE" not in str(refused.value)


def test_a_function_that_is_not_told_where_it_is_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="HOLDFAST_AGENT_REGION"):
        one_round({}, left_s=20.0, fetch=lambda _: "", work=tmp_path)


def test_too_little_time_for_a_round_is_refused_and_not_tried(tmp_path: Path) -> None:
    environ = {"HOLDFAST_AGENT_REGION": "eu", "HOLDFAST_AGENT_SECRET": "arn"}
    with pytest.raises(InputError, match="timeout"):
        one_round(environ, left_s=3.0, fetch=lambda _: "", work=tmp_path)
