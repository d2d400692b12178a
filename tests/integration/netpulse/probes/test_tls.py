"""Broken TLS of every kind that badssl.com shows, made here, by HTTPS and by the TLS check."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import HttpCheck, TlsCheck
from holdfast.netpulse.shell.probes import Finding
from tests.integration.netpulse.probes.targets import answer, monitor, probe, reset, saying, target

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def issue(
    name: str,
    by: Issued | None = None,
    *,
    authority: bool = False,
    begins: timedelta = -DAY,
    ends: timedelta = 90 * DAY,
) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)


ROOT = issue("Root", authority=True)
MIDDLE = issue("Middle", ROOT, authority=True, ends=40 * DAY)
STRANGER = issue("Stranger", authority=True)


@pytest.fixture
def trusted(tmp_path: Path) -> str:
    path = tmp_path / "root.pem"
    path.write_bytes(ROOT.pem())
    return str(path)


def serving(leaf: Issued, *chain: Issued, directory: Path) -> ssl.SSLContext:
    path = directory / "server.pem"
    key = leaf.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(key + b"".join(each.pem() for each in (leaf, *chain)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def both(port: int, ca_file: str, host: str = "localhost") -> tuple[Finding, Finding]:
    """Asked by HTTPS and by the TLS check."""
    return (
        await probe(monitor(http=HttpCheck(url=f"https://{host}:{port}/", ca_file=ca_file))),
        await probe(monitor(tls=TlsCheck(address=f"{host}:{port}", ca_file=ca_file))),
    )


async def test_a_good_chain_is_up_and_says_when_its_first_certificate_expires(trusted: str, tmp_path: Path) -> None:
    context = serving(issue("localhost", MIDDLE), MIDDLE, directory=tmp_path)
    async with target(saying(answer()), ssl=context) as port:
        for found in await both(port, trusted):
            assert found.outcome is Outcome.UP, found
            assert found.cert_days is not None
            assert 39.9 < found.cert_days < 40.1, "the intermediate expires before the leaf"
            assert found.phases.tls is not None


@pytest.mark.parametrize(
    ("leaf", "words"),
    [
        (issue("localhost", ROOT, begins=-9 * DAY, ends=-2 * DAY), "expired"),
        (issue("localhost", ROOT, begins=2 * DAY, ends=9 * DAY), "not yet valid"),
        (issue("wrong.example", ROOT), "localhost"),
        (issue("localhost"), "self-signed"),
        (issue("localhost", STRANGER), "unable to get local issuer"),
        (issue("localhost", MIDDLE), "unable to get local issuer"),
    ],
    ids=["expired", "not yet valid", "wrong host", "self-signed", "untrusted root", "incomplete chain"],
)
async def test_a_bad_certificate_is_a_certificate_failure(
    leaf: Issued, words: str, trusted: str, tmp_path: Path
) -> None:
    async with target(saying(answer()), ssl=serving(leaf, directory=tmp_path)) as port:
        for found in await both(port, trusted):
            assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.CERTIFICATE), found
            assert words in found.detail
            if words == "expired":
                assert found.cert_days is not None
                assert -2.1 < found.cert_days < -1.9
        relaxed = HttpCheck(url=f"https://localhost:{port}/", ca_file=trusted, verify=False)
        found = await probe(monitor(http=relaxed))
    assert found.outcome is Outcome.UP, found
    assert found.cert_days is not None


async def test_a_chain_whose_stranger_root_is_sent_along_is_not_trusted(trusted: str, tmp_path: Path) -> None:
    context = serving(issue("localhost", STRANGER), STRANGER, directory=tmp_path)
    async with target(saying(answer()), ssl=context) as port:
        for found in await both(port, trusted):
            assert found.failure is Failure.CERTIFICATE
            assert "self-signed certificate in certificate chain" in found.detail


async def test_the_systems_authorities_do_not_know_ours(tmp_path: Path) -> None:
    async with target(saying(answer()), ssl=serving(issue("localhost", ROOT), directory=tmp_path)) as port:
        for found in await both(port, ""):
            assert found.failure is Failure.CERTIFICATE


async def test_the_server_name_of_a_check_is_what_is_asked_for_and_proven(trusted: str, tmp_path: Path) -> None:
    context = serving(issue("inner.example", ROOT), directory=tmp_path)
    asked = []
    context.sni_callback = lambda _sock, name, _context: asked.append(name)
    async with target(saying(answer()), ssl=context) as port:
        check = TlsCheck(address=f"127.0.0.1:{port}", server_name="inner.example", ca_file=trusted)
        assert (await probe(monitor(tls=check))).outcome is Outcome.UP
    assert asked == ["inner.example"]


async def test_an_address_in_the_certificate_is_enough_for_an_address(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    async with target(saying(answer()), ssl=context) as port:
        for found in await both(port, str(ca_file), host="127.0.0.1"):
            assert found.outcome is Outcome.UP, found


@asynccontextmanager
async def raw(said: bytes, *, then_reset: bool = False) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        await writer.drain()
        if then_reset:
            reset(writer)
        writer.close()

    async with target(serve) as port:
        yield port


@pytest.mark.parametrize(
    ("said", "then_reset", "failure"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, Failure.TLS),
        (b"\x00" * 64, False, Failure.TLS),
        (b"\x15\x03\x03\x00\x02\x02\x28", False, Failure.TLS),
        (b"\x16\x03\x03\xff\xff" + b"x" * 100, False, Failure.TLS),
        (b"", False, Failure.TLS),
        (b"", True, Failure.RESET),
    ],
    ids=["plain HTTP", "zeros", "alert", "overlong record", "end", "reset"],
)
async def test_what_is_no_handshake_is_told_apart(said: bytes, then_reset: bool, failure: Failure) -> None:
    async with raw(said, then_reset=then_reset) as port:
        for found in await both(port, ""):
            assert (found.outcome, found.failure) == (Outcome.DOWN, failure), found
            assert found.detail.isprintable()


async def test_https_to_a_server_of_plain_http_is_a_tls_failure() -> None:
    async with target(saying(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")) as port:
        found = await probe(monitor(timeout=0.5, tls=TlsCheck(address=f"127.0.0.1:{port}")))
    assert found.failure in {Failure.TLS, Failure.TIMEOUT}


async def test_a_server_that_knows_only_tls_1_0_is_a_tls_failure(trusted: str, tmp_path: Path) -> None:
    context = serving(issue("localhost", ROOT), directory=tmp_path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1
    async with target(saying(answer()), ssl=context) as port:
        for found in await both(port, trusted):
            assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.TLS), found


async def test_a_handshake_that_never_ends_times_out() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with target(serve) as port:
        found = await probe(monitor(timeout=0.3, tls=TlsCheck(address=f"127.0.0.1:{port}")))
    assert found.failure is Failure.TIMEOUT
    assert "the TLS handshake to end" in found.detail


@pytest.mark.parametrize("content", [None, b"no certificate"])
async def test_an_authority_that_cannot_be_read_is_the_agents_trouble(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    found = await probe(monitor(tls=TlsCheck(address="127.0.0.1:1", ca_file=str(path))))
    assert (found.outcome, found.failure) == (Outcome.UNKNOWN, Failure.AGENT)
    assert "ca_file" in found.detail
