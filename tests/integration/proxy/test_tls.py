"""TLS on both sides: a certificate for each name, replaced while running; backends verified unless told otherwise."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from holdfast.proxy import Address, Certificate, Certificates, EdgePolicy, PoolPolicy, TlsError, client_context
from holdfast.testing import ScriptedUpstream, Visit, always, answer, eventually, proxied

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.testing import ProxyUnderTest

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


def issued(authority: trustme.CA, directory: Path, name: str, *names: str) -> Certificate:
    leaf = authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
    path = directory / f"{name}.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(str(path))
    return Certificate(cert=str(path), key=str(path))


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def not_checking() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def names_shown(proxy: ProxyUnderTest, authority: trustme.CA, name: str) -> set[str]:
    """The names in the certificate that a client gets which asks for ``name``."""
    context = trusting(authority)
    context.check_hostname = False
    async with await proxy.connect(tls=context, server_name=name) as client:
        assert (await client.ask(GET)).status == 200
        shown = client._writer.get_extra_info("ssl_object").getpeercert()
        return {value for _, value in shown["subjectAltName"]}


async def test_each_name_gets_its_certificate(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates(
        [
            issued(authority, tmp_path, "default", "default.test"),
            issued(authority, tmp_path, "one", "one.test", "uno.test"),
            issued(authority, tmp_path, "wild", "*.wild.test"),
        ]
    )
    async with ScriptedUpstream() as backend, proxied(backend, tls=certificates.context) as proxy:
        assert await names_shown(proxy, authority, "default.test") == {"default.test"}
        assert await names_shown(proxy, authority, "one.test") == {"one.test", "uno.test"}
        assert await names_shown(proxy, authority, "UNO.test") == {"one.test", "uno.test"}
        assert await names_shown(proxy, authority, "a.wild.test") == {"*.wild.test"}
        assert await names_shown(proxy, authority, "a.b.wild.test") == {"default.test"}
        assert await names_shown(proxy, authority, "unknown.test") == {"default.test"}
        assert backend.visits[0].field(b"x-forwarded-proto") == b"https"
        assert (backend.visits[0].field(b"forwarded") or b"").endswith(b"proto=https")


async def test_certificates_are_replaced_while_connections_stay(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([issued(authority, tmp_path, "old", "old.test")])
    async with (
        ScriptedUpstream() as backend,
        proxied(backend, tls=certificates.context) as proxy,
        await proxy.connect(tls=trusting(authority), server_name="old.test") as client,
    ):
        assert (await client.ask(GET)).status == 200
        certificates.load(
            [issued(authority, tmp_path, "new", "new.test"), issued(authority, tmp_path, "other", "other.test")]
        )
        assert await names_shown(proxy, authority, "new.test") == {"new.test"}
        assert await names_shown(proxy, authority, "other.test") == {"other.test"}
        assert await names_shown(proxy, authority, "old.test") == {"new.test"}
        assert (await client.ask(GET)).status == 200


async def test_a_new_certificate_with_another_kind_of_key_replaces_the_old_one(
    authority: trustme.CA, tmp_path: Path
) -> None:
    """OpenSSL keeps one certificate of each kind in a context, so loading is not replacing."""
    certificates = Certificates([issued(authority, tmp_path, "old", "old.test")])
    leaf = authority.issue_cert("new.test", key_type=trustme.KeyType.RSA)
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "new.pem"))
    certificates.load([Certificate(cert=str(tmp_path / "new.pem"), key=str(tmp_path / "new.pem"))])
    async with ScriptedUpstream() as backend, proxied(backend, tls=certificates.context) as proxy:
        for name in ("new.test", "old.test", "unknown.test"):
            assert await names_shown(proxy, authority, name) == {"new.test"}
        assert await names_shown(proxy, authority, "127.0.0.1") == {"new.test"}, "a client that names no host"


def test_a_certificate_that_cannot_be_used_changes_nothing(authority: trustme.CA, tmp_path: Path) -> None:
    good = issued(authority, tmp_path, "good", "good.test")
    other = issued(authority, tmp_path, "other", "other.test")
    certificates = Certificates([good])
    before = dict(certificates._by_name)
    (tmp_path / "garbage.pem").write_text("garbage")
    for cert, key in (
        (str(tmp_path / "absent.pem"), good.key),
        (str(tmp_path / "garbage.pem"), good.key),
        (good.cert, str(tmp_path / "garbage.pem")),
        (good.cert, other.key),
    ):
        with pytest.raises(TlsError, match="certificate and key cannot be used"):
            certificates.load([other, Certificate(cert=cert, key=key)])
        assert certificates._by_name == before


async def test_what_is_not_tls_is_closed_and_others_do_not_notice(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([issued(authority, tmp_path, "a", "a.test")])
    async with ScriptedUpstream() as backend, proxied(backend, tls=certificates.context) as proxy:
        async with await proxy.connect() as plain:
            await plain.send(GET)
            with pytest.raises((EOFError, ConnectionError, ValueError)):
                await plain.answer()
        async with await proxy.connect(tls=trusting(authority), server_name="a.test") as client:
            assert (await client.ask(GET)).status == 200
        assert len(backend.visits) == 1


async def test_a_handshake_that_does_not_end_is_closed(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([issued(authority, tmp_path, "a", "a.test")])
    edge = EdgePolicy(header_timeout_s=0.2)
    async with (
        ScriptedUpstream() as backend,
        proxied(backend, edge=edge, tls=certificates.context) as proxy,
        await proxy.connect() as silent,
    ):
        assert await silent.closed()


async def test_large_bodies_pass_through_tls_with_little_memory(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([issued(authority, tmp_path, "a", "a.test")])
    body = bytes(range(256)) * (16 * MIB // 256)

    async def script(visit: Visit) -> None:
        await visit.send(answer(body=await visit.read_body()))

    async with (
        ScriptedUpstream(script) as backend,
        proxied(backend, tls=certificates.context) as proxy,
        await proxy.connect(tls=trusting(authority), server_name="a.test", deadline_s=20) as client,
    ):
        wire = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        sending = asyncio.create_task(client.send(wire))
        await eventually(lambda: proxy.engine.clients)
        assert (await client.answer()).body == body
        await sending


async def test_a_slow_reader_over_tls_costs_little_memory(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([issued(authority, tmp_path, "a", "a.test")])
    body = b"x" * (32 * MIB)
    async with (
        ScriptedUpstream(always(answer(body=body))) as backend,
        proxied(backend, tls=certificates.context) as proxy,
        await proxy.connect(
            tls=trusting(authority), server_name="a.test", receive_buffer=64 * 1024, deadline_s=20
        ) as client,
    ):
        await client.send(GET)
        await eventually(lambda: any(c.write_paused for c in proxy.engine.clients))
        [connection] = proxy.engine.clients
        assert connection.transport.get_write_buffer_size() < MIB
        [exchange] = proxy.engine.active
        assert exchange.bytes_out < 16 * MIB, "the backend waits as well"
        assert (await client.answer()).body == body


async def test_a_client_that_breaks_a_rule_over_tls_is_answered(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([issued(authority, tmp_path, "a", "a.test")])
    async with ScriptedUpstream() as backend, proxied(backend, tls=certificates.context) as proxy:
        async with await proxy.connect(tls=trusting(authority), server_name="a.test") as client:
            assert (await client.ask(b"GET / HTTP/1.1\r\n\r\n")).status == 400
            assert await client.closed()
        assert backend.visits == []


async def test_an_answer_that_is_cut_over_tls_looks_cut(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([issued(authority, tmp_path, "a", "a.test")])
    half = always(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", close=True)
    async with (
        ScriptedUpstream(half) as backend,
        proxied(backend, tls=certificates.context) as proxy,
        await proxy.connect(tls=trusting(authority), server_name="a.test") as client,
    ):
        await client.send(GET)
        with pytest.raises((EOFError, ConnectionError)):
            await client.answer()


# Backends.


@pytest.fixture
def secured(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("backend.test", "127.0.0.1", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


async def test_a_backend_is_verified_by_default(authority: trustme.CA, secured: ssl.SSLContext, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    known = client_context(ca=str(tmp_path / "ca.pem"))
    unknown = client_context()
    careless = client_context(verify=False)
    async with ScriptedUpstream(tls=secured) as backend:
        for context, server_name, status in (
            (known, None, 200),
            (known, "backend.test", 200),
            (known, "another.test", 502),
            (unknown, None, 502),
            (careless, "another.test", 200),
        ):
            address = Address(host="127.0.0.1", port=backend.port, context=context, server_name=server_name)
            async with proxied(address) as proxy, await proxy.connect() as client:
                for _ in range(2):
                    assert (await client.ask(GET)).status == status


async def test_a_backend_that_speaks_no_tls_is_no_answer(authority: trustme.CA) -> None:
    async with ScriptedUpstream() as backend:
        address = Address(host="127.0.0.1", port=backend.port, context=client_context(verify=False))
        policy = PoolPolicy(connect_timeout_s=0.2)
        async with proxied(address, policy=policy) as proxy, await proxy.connect() as client:
            assert (await client.ask(GET)).status == 502
            [target] = proxy.pool.backends
            assert set(target.failures) == {"connect"}
        assert backend.visits == []


async def test_a_backend_that_wants_to_know_us_gets_our_certificate(
    authority: trustme.CA, secured: ssl.SSLContext, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.configure_trust(secured)
    secured.verify_mode = ssl.CERT_REQUIRED
    ours = issued(authority, tmp_path, "proxy", "proxy.test")
    ca = str(tmp_path / "ca.pem")
    policy = PoolPolicy(attempts=1, connect_timeout_s=0.5)
    async with ScriptedUpstream(tls=secured) as backend:
        for context, status in ((client_context(ca=ca, cert=ours.cert), 200), (client_context(ca=ca), 502)):
            address = Address(host="127.0.0.1", port=backend.port, context=context)
            async with proxied(address, policy=policy) as proxy, await proxy.connect() as client:
                assert (await client.ask(GET)).status == status


def test_a_key_that_needs_a_password_is_refused_without_asking(authority: trustme.CA, tmp_path: Path) -> None:
    good = issued(authority, tmp_path, "good", "good.test")
    pem = (tmp_path / "good.pem").read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "locked.pem").write_bytes(locked)
    with pytest.raises(TlsError, match="unencrypted key"):
        Certificates([Certificate(cert=good.cert, key=str(tmp_path / "locked.pem"))])


def test_a_missing_authority_is_named() -> None:
    with pytest.raises(TlsError, match=r"/absent/ca\.pem"):
        client_context(ca="/absent/ca.pem")


async def test_tls_on_both_sides_survives_clients_that_vanish(
    authority: trustme.CA, secured: ssl.SSLContext, tmp_path: Path
) -> None:
    certificates = Certificates([issued(authority, tmp_path, "a", "a.test")])

    async def hang(visit: Visit) -> None:
        await visit.hang()

    async with ScriptedUpstream(hang, tls=secured) as backend:
        address = Address(host="127.0.0.1", port=backend.port, context=client_context(verify=False))
        async with proxied(address, tls=certificates.context) as proxy:
            for number in range(40):
                client = await proxy.connect(tls=not_checking(), server_name="a.test")
                await client.send(GET)
                for _ in range(number):
                    await asyncio.sleep(0)
                client.reset()
                await client.close()
            await eventually(lambda: not proxy.engine.clients)
            await proxy.settled()
            [target] = proxy.pool.backends
            await eventually(lambda: not target.connections)
            await eventually(lambda: not backend.open_connections)
            assert target.failures == {}
