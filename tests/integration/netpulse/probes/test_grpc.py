"""The gRPC check against grpcio's own health service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
import trustme
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import GrpcCheck
from tests.integration.netpulse.probes.targets import answer, monitor, probe, saying, target

pytestmark = pytest.mark.anyio


@contextmanager
def server(credentials: Any = None, *, with_health: bool = True) -> Iterator[int]:
    running = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    servicer = health.HealthServicer()
    if with_health:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, running)
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    servicer.set("good", health_pb2.HealthCheckResponse.SERVING)
    servicer.set("bad", health_pb2.HealthCheckResponse.NOT_SERVING)
    servicer.set("odd", health_pb2.HealthCheckResponse.UNKNOWN)
    if credentials is None:
        port = running.add_insecure_port("127.0.0.1:0")
    else:
        port = running.add_secure_port("127.0.0.1:0", credentials)
    running.start()
    try:
        yield port
    finally:
        running.stop(0).wait()


@pytest.mark.parametrize(
    ("service", "failure", "words", "code"),
    [
        ("", Failure.NONE, "", 0),
        ("good", Failure.NONE, "", 0),
        ("bad", Failure.STATUS, 'expected service "bad" to be SERVING, got NOT_SERVING', 0),
        ("odd", Failure.STATUS, "got UNKNOWN", 0),
        ("absent", Failure.STATUS, "got NOT_FOUND (5)", 5),
        ("x" * 300, Failure.STATUS, "got NOT_FOUND (5)", 5),
    ],
)
async def test_serving_is_up(service: str, failure: Failure, words: str, code: int) -> None:
    with server() as port:
        found = await probe(monitor(grpc=GrpcCheck(address=f"127.0.0.1:{port}", service=service)))
    assert found.failure is failure, found
    assert words in found.detail
    assert found.status == code
    assert found.phases.first_byte is not None


async def test_a_server_without_the_health_service_says_so() -> None:
    with server(with_health=False) as port:
        found = await probe(monitor(grpc=GrpcCheck(address=f"127.0.0.1:{port}")))
    assert (found.failure, found.status) == (Failure.STATUS, 12)
    assert "UNIMPLEMENTED" in found.detail


async def test_with_tls_the_certificate_has_to_be_good(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    credentials = grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])
    with server(credentials) as port:
        address = f"localhost:{port}"
        good = await probe(monitor(grpc=GrpcCheck(address=address, tls=True, ca_file=str(ca_file))))
        bad = await probe(monitor(grpc=GrpcCheck(address=address, tls=True)))
        relaxed = await probe(monitor(grpc=GrpcCheck(address=address, tls=True, verify=False)))
    assert good.outcome is Outcome.UP, good
    assert good.cert_days is not None
    assert bad.failure is Failure.CERTIFICATE
    assert relaxed.outcome is Outcome.UP


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (answer(), Failure.PROTOCOL),
        (b"garbage" * 100, Failure.PROTOCOL),
        (b"", Failure.PROTOCOL),
        (b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b", Failure.RESET),
    ],
    ids=["http/1.1", "garbage", "end", "goaway"],
)
async def test_what_is_no_grpc_is_told_apart(said: bytes, failure: Failure) -> None:
    async with target(saying(said, close=True)) as port:
        found = await probe(monitor(timeout=1.0, grpc=GrpcCheck(address=f"127.0.0.1:{port}")))
    assert (found.outcome, found.failure) == (Outcome.DOWN, failure), found


async def test_a_server_that_never_answers_times_out() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.sleep(60)

    async with target(serve) as port:
        found = await probe(monitor(timeout=0.3, grpc=GrpcCheck(address=f"127.0.0.1:{port}")))
    assert found.failure is Failure.TIMEOUT
