"""Nothing of a probe outlives it: no socket, no task, no process, wherever it is cut short."""

from __future__ import annotations

import asyncio
import gc
import ssl
from pathlib import Path
from random import Random

import pytest
import trustme

from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import (
    DnsCheck,
    GrpcCheck,
    HttpCheck,
    MonitorSettings,
    TcpCheck,
    TlsCheck,
    WebSocketCheck,
)
from holdfast.netpulse.shell.probes import Prober
from tests.integration.netpulse.probes.name_server import name_server, zone
from tests.integration.netpulse.probes.targets import LEAVE, answer, monitor, saying, target

pytestmark = pytest.mark.anyio

CANCELLED = 10_000
AT_A_TIME = 50


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.usefixtures("at_full_speed")
async def test_ten_thousand_probes_cancelled_anywhere_leave_nothing(tmp_path: Path) -> None:
    rng = Random(6)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    page = saying(answer(b"body"))
    prober = Prober(LEAVE)

    async def cut(spec: MonitorSettings) -> int:
        task = asyncio.ensure_future(prober.probe(spec))
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 12, 20))):  # turns of the loop, not time
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return 1
        return 0

    async with (
        target(page) as plain,
        target(page, ssl=context) as secure,
        name_server(zone({("x.example.", "A"): ["127.0.0.1"]})) as (port, _),
    ):
        kinds = [
            *([monitor(http=HttpCheck(url=f"http://127.0.0.1:{plain}/"))] * 5),
            monitor(http=HttpCheck(url=f"http://127.0.0.1:{plain}/", contains="body")),
            monitor(http=HttpCheck(url=f"https://127.0.0.1:{secure}/", ca_file=str(ca_file))),
            monitor(tls=TlsCheck(address=f"127.0.0.1:{secure}", ca_file=str(ca_file))),
            monitor(tcp=TcpCheck(address=f"127.0.0.1:{plain}", send="x\r\n\r\n", expect="200 OK")),
            monitor(websocket=WebSocketCheck(url=f"ws://127.0.0.1:{plain}/")),
            monitor(grpc=GrpcCheck(address=f"127.0.0.1:{plain}")),
            monitor(dns=DnsCheck(name="x.example", resolver=f"127.0.0.1:{port}")),
        ]
        for spec in kinds:
            await prober.probe(spec)  # what is kept (TLS contexts) is there before the count
        tasks, before = len(asyncio.all_tasks()), descriptors()
        cancelled = 0
        for _ in range(CANCELLED // AT_A_TIME):
            cancelled += sum(await asyncio.gather(*(cut(rng.choice(kinds)) for _ in range(AT_A_TIME))))
        assert cancelled > CANCELLED / 2
        async with asyncio.timeout(10.0):
            # The targets in this very process have to notice, too.
            while descriptors() > before or len(asyncio.all_tasks()) > tasks:
                gc.collect()
                await asyncio.sleep(0.01)
        assert (await prober.probe(kinds[0])).outcome is Outcome.UP
    await prober.close()


async def test_a_cancelled_search_takes_its_process_with_it() -> None:
    prober = Prober(LEAVE)
    async with target(saying(answer(b"a" * 60))) as port:
        spec = monitor(http=HttpCheck(url=f"http://127.0.0.1:{port}/", regex="(a+)+$b"))
        for pause in (0.0, 0.001, 0.02, 0.05):
            task = asyncio.ensure_future(prober.probe(spec))
            await asyncio.sleep(pause)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        good = monitor(http=HttpCheck(url=f"http://127.0.0.1:{port}/", regex="^a+$"))
        assert (await prober.probe(good)).outcome is Outcome.UP
    await prober.close()


async def test_an_expression_that_explodes_is_ended_and_keeps_nobody_else_waiting() -> None:
    prober = Prober(LEAVE)
    async with target(saying(answer(b"a" * 60 + b"c"))) as port:
        url = f"http://127.0.0.1:{port}/"
        evil = [monitor(http=HttpCheck(url=url, regex=f"(a+)+b{number}")) for number in range(2)]
        good = monitor(http=HttpCheck(url=url, regex="a+c"))
        found = await asyncio.gather(*(prober.probe(spec) for spec in (*evil, good, good)))
        again = await prober.probe(evil[0])
    await prober.close()
    for each in found[:2]:
        assert (each.outcome, each.failure) == (Outcome.UNKNOWN, Failure.AGENT), each
        assert "took longer" in each.detail
    assert [each.outcome for each in found[2:]] == [Outcome.UP, Outcome.UP]
    assert "took too long lately" in again.detail
    assert again.total_ms < 300


async def test_a_jsonpath_that_explodes_is_ended() -> None:
    prober = Prober(LEAVE)
    body = b"[" * 200 + b"1" + b"]" * 200
    async with target(saying(answer(body))) as port:
        check = HttpCheck(url=f"http://127.0.0.1:{port}/", jsonpath="$..*..*..*..*..*.absent")
        found = await prober.probe(monitor(http=check))
    await prober.close()
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT), found
