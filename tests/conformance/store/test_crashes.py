"""What was acknowledged is there after anything has been killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from holdfast.store import StoreSettings, open_database
from tests.conformance.store.conftest import names
from tests.databases import DRIVERS, PostgresqlServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENOUGH = 300
"""Acknowledged writes before the blow; several dozen groups."""


@pytest.fixture(scope="module")
def durable_server() -> Iterator[PostgresqlServer]:
    """With ``fsync`` on, and free to be killed."""
    server = PostgresqlServer(durable=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=DRIVERS)
def durable_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/store.db"
        return
    server: PostgresqlServer = request.getfixturevalue("durable_server")
    with server.database() as url:
        yield url


@contextmanager
def writer(url: str, prefix: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.conformance.store.writer", url, prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def acknowledged(process: subprocess.Popen[str], count: int | None = None) -> set[str]:
    """Names that the writer has said: so many, or all until its end. A last one may be cut off."""
    assert process.stdout is not None
    lines = (line for _, line in zip(range(count), process.stdout, strict=False)) if count else process.stdout
    return {line.strip() for line in lines if line.endswith("\n")}


def found(url: str) -> set[str]:
    async def look() -> set[str]:
        async with await open_database(StoreSettings(url=url)) as database:
            return set(await names(database))

    return asyncio.run(look())


def test_a_process_that_is_killed_has_lost_nothing_that_it_acknowledged(durable_url: str) -> None:
    said: set[str] = set()
    for blow in range(3):
        with writer(durable_url, f"{blow}-") as process:
            said |= acknowledged(process, ENOUGH)
            process.send_signal(signal.SIGKILL)
            said |= acknowledged(process)
        assert said <= found(durable_url)
    assert len(said) >= 3 * ENOUGH


def test_a_server_that_is_killed_has_lost_nothing_and_its_clients_go_on(durable_server: PostgresqlServer) -> None:
    with durable_server.database() as url, writer(url, "") as process:
        said = acknowledged(process, ENOUGH)
        for _ in range(2):
            durable_server.kill()
            durable_server.start()
            said |= acknowledged(process, ENOUGH)  # also shows that nothing hangs
        process.send_signal(signal.SIGKILL)
        said |= acknowledged(process)
        assert said <= found(url)
