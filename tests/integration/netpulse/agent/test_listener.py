"""Who gets in at the agents' door, and what happens to the others."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import io
import ssl
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
import trustme

from holdfast.netpulse.core.protocol import BATCH_BYTES, Ask, Batch, Receipt, Sight, encode
from holdfast.netpulse.core.result import Outcome, Result
from holdfast.netpulse.errors import Superseded
from holdfast.netpulse.shell.agent.errors import Forbidden, Rejected, Unanswered
from holdfast.netpulse.shell.agent.link import Link
from holdfast.netpulse.shell.agents import listener as listener_module
from holdfast.netpulse.shell.certificates import Bundle, agent_context, ensure, find_bundle, make_agent, revoke
from holdfast.store import StoreUnavailable
from tests.integration.netpulse.agent.harness import World, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def ask(agent: str = "eu", region: str = "eu") -> Ask:
    return Ask(agent=agent, region=region, epoch="e", now=time.time(), sight=Sight(blind=False, since=0.0))


def batch(*seqs: int, agent: str = "eu", region: str = "eu") -> Batch:
    results = tuple(Result(monitor="t/a", seq=seq, at=1.0, outcome=Outcome.UP) for seq in seqs)
    return Batch(agent=agent, region=region, spool="s", now=time.time(), results=results)


@asynccontextmanager
async def link(it: World, bundle: Bundle | None = None) -> AsyncIterator[Link]:
    found = bundle or find_bundle(it.certificates, "eu")
    assert found is not None
    made = Link(f"https://127.0.0.1:{it.port}", found)
    try:
        yield made
    finally:
        await made.close()


def test_an_agent_with_its_certificate_gets_orders_and_receipts(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, link(it) as agent:
            assert (await agent.orders(ask(), wait_s=5.0)).schedule == "1"
            assert await agent.results(batch(1, 2, 3)) == Receipt(upto=3)

    asyncio.run(scenario())


def test_a_certificate_of_another_authority_gets_nowhere(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            stranger = await asyncio.to_thread(make_agent, tmp_path / "others", "eu")
            bundle = Bundle(certificate=stranger.certificate, authority=it.certificates / "authority.pem")
            async with link(it, bundle) as agent:
                with pytest.raises(Unanswered):
                    await agent.orders(ask(), wait_s=1.0)
            assert not it.engine.asks

    asyncio.run(scenario())


def test_without_a_certificate_nobody_gets_anywhere(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, aiohttp.ClientSession() as session:
            context = ssl.create_default_context(cafile=it.certificates / "authority.pem")
            with pytest.raises((aiohttp.ClientError, OSError)):
                await session.post(f"https://127.0.0.1:{it.port}/agent/v1/orders", data=encode(ask()), ssl=context)
            assert not it.engine.asks

    asyncio.run(scenario())


def test_an_agent_believes_no_engine_of_another_authority(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            own = find_bundle(it.certificates, "eu")
            assert own is not None
            authority = tmp_path / "other.pem"
            trustme.CA().cert_pem.write_to_path(str(authority))
            async with link(it, Bundle(certificate=own.certificate, authority=authority)) as agent:
                with pytest.raises(Unanswered, match="certificate verify failed"):
                    await agent.orders(ask(), wait_s=1.0)

    asyncio.run(scenario())


def test_an_agent_s_certificate_does_not_make_an_engine(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            bundle = await asyncio.to_thread(make_agent, it.certificates, "eu", "127.0.0.1")
            await it.down()
            (it.certificates / "engine.pem").write_bytes(bundle.certificate.read_bytes())
            await it.up()
            async with link(it) as agent:
                with pytest.raises(Unanswered, match="certificate verify failed"):
                    await agent.orders(ask(), wait_s=1.0)

    asyncio.run(scenario())


def test_a_revoked_certificate_gets_nowhere_on_a_connection_that_was_open_before(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, link(it) as agent:
            await agent.results(batch(1))
            await asyncio.to_thread(revoke, it.certificates, "eu")
            with pytest.raises(Forbidden, match="this certificate was revoked"):
                await agent.results(batch(2))
            with pytest.raises(Forbidden):
                await agent.orders(ask(), wait_s=1.0)
            assert len(it.engine.stored) == 1
            assert not it.engine.asks

    asyncio.run(scenario())


def test_an_agent_goes_on_with_a_new_certificate_without_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, link(it) as agent:
            await asyncio.to_thread(revoke, it.certificates, "eu")
            with pytest.raises(Forbidden):
                await agent.results(batch(1))
            await asyncio.to_thread(make_agent, it.certificates, "eu")
            await agent.renew()
            assert (await agent.results(batch(1))).upto == 1

    asyncio.run(scenario())


def test_an_expired_certificate_gets_nowhere(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            past = dt.datetime.now(dt.UTC) - dt.timedelta(days=400)
            bundle = await asyncio.to_thread(make_agent, it.certificates, "eu", "late", now=past)
            async with link(it, bundle) as agent:
                with pytest.raises(Unanswered):
                    await agent.orders(ask("late"), wait_s=1.0)
            assert not it.engine.asks

    asyncio.run(scenario())


def test_a_certificate_that_expires_while_its_connection_is_open_gets_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, link(it) as agent:
            await agent.results(batch(1))
            assert it.listener is not None
            monkeypatch.setattr(it.listener, "_clock", lambda: time.time() + 366 * 86_400.0)
            with pytest.raises(Forbidden, match="this certificate has expired"):
                await agent.results(batch(2))

    asyncio.run(scenario())


@pytest.mark.parametrize(("agent", "region"), [("us", "us"), ("eu", "us"), ("us", "eu")])
def test_a_message_that_names_another_than_its_certificate_is_refused(tmp_path: Path, agent: str, region: str) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, link(it) as own:
            with pytest.raises(Forbidden, match="the certificate is of eu in eu, the message of another"):
                await own.results(batch(1, agent=agent, region=region))
            with pytest.raises(Forbidden):
                await own.orders(ask(agent, region), wait_s=1.0)
            assert not it.engine.stored
            assert not it.engine.asks

    asyncio.run(scenario())


def test_a_list_of_revocations_that_cannot_be_read_stops_everybody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, link(it) as agent:
            (it.certificates / "revoked").write_text("?\n")
            with pytest.raises(Unanswered, match="503"):
                await agent.results(batch(1))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("failure", "status", "after"),
    [
        (StoreUnavailable("locked"), "503", 1.0),
        (Superseded("another"), "503", 2.0),
        (ZeroDivisionError("secret"), "500", 5.0),
    ],
)
def test_an_engine_that_cannot_take_results_says_when_to_come_back(
    tmp_path: Path, failure: Exception, status: str, after: float
) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, link(it) as agent:
            it.engine.failure = failure
            with pytest.raises(Unanswered, match=status) as raised:
                await agent.results(batch(1))
            assert raised.value.retry_after_s == after
            assert "secret" not in str(raised.value)
            it.engine.failure = None
            assert (await agent.results(batch(1))).upto == 1

    asyncio.run(scenario())


def test_what_is_too_large_or_not_of_the_protocol_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, aiohttp.ClientSession() as session:
            bundle = find_bundle(it.certificates, "eu")
            assert bundle is not None
            context = agent_context(bundle)

            async def post(data: bytes, path: str = "/agent/v1/results", method: str = "POST") -> int:
                url = f"https://127.0.0.1:{it.port}{path}"
                async with session.request(method, url, data=io.BytesIO(data), ssl=context) as got:
                    return got.status

            assert await post(b"\xc1") == 400
            assert await post(encode(ask())) == 400
            assert await post(encode(batch(*range(1, 1002)))) == 413
            assert await post(encode(ask()), "/agent/v1/other") == 404
            assert await post(encode(ask()), method="PUT") == 405
            with contextlib.suppress(aiohttp.ClientError):  # the door may close before all of it is through
                assert await post(b"x" * (BATCH_BYTES + 1)) == 413
            assert not it.engine.stored

    asyncio.run(scenario())


def test_results_are_stored_although_their_agent_went_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            begun, go_on = asyncio.Event(), asyncio.Event()
            take = it.engine.take

            async def slowly(batch: Batch) -> Receipt:
                begun.set()
                await go_on.wait()
                return await take(batch)

            it.engine.take = slowly  # type: ignore[method-assign]
            async with link(it) as agent:
                sending = asyncio.create_task(agent.results(batch(1)))
                await begun.wait()
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            go_on.set()
            await it.down()
            assert len(it.engine.stored) == 1

    asyncio.run(scenario())


def test_a_client_that_never_finishes_its_handshake_or_its_body_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "HANDSHAKE_S", 0.2)
    monkeypatch.setattr(listener_module, "BODY_S", 0.2)

    async def scenario() -> None:
        async with world(tmp_path) as it:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            writer.write(b"\x16\x03\x01")
            async with asyncio.timeout(10):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            writer.close()
            bundle = find_bundle(it.certificates, "eu")
            assert bundle is not None
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port, ssl=agent_context(bundle))
            writer.write(b"POST /agent/v1/results HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
            async with asyncio.timeout(10):
                assert (await reader.readline()).startswith(b"HTTP/1.1 408")
            writer.close()

    asyncio.run(scenario())


def test_with_all_places_taken_by_strangers_an_agent_that_is_connected_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "HANDSHAKES", 4)

    async def scenario() -> None:
        async with world(tmp_path) as it, link(it) as agent:
            await agent.results(batch(1))
            strangers = [await asyncio.open_connection("127.0.0.1", it.port) for _ in range(8)]
            turned_away = [asyncio.create_task(reader.read()) for reader, _ in strangers]
            async with asyncio.timeout(10):
                await asyncio.wait(turned_away, return_when=asyncio.FIRST_COMPLETED)
            assert (await agent.results(batch(2))).upto == 2
            for _, writer in strangers:
                writer.transport.abort()
            await asyncio.gather(*turned_away, return_exceptions=True)

    asyncio.run(scenario())


def test_a_rejected_message_is_told_from_one_that_may_be_repeated(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, link(it) as agent:
            with pytest.raises(Rejected) as raised:
                await agent.results(batch(*range(1, 1002)))
            assert raised.value.status == 413

    asyncio.run(scenario())


def test_an_authority_that_was_made_anew_ends_what_the_old_one_signed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, link(it) as agent:
            await it.down()
            it.certificates.rename(tmp_path / "old")
            await asyncio.to_thread(ensure, it.certificates, ["127.0.0.1"], {"eu": "eu"})
            await it.up()
            with pytest.raises(Unanswered):
                await agent.orders(ask(), wait_s=1.0)

    asyncio.run(scenario())
