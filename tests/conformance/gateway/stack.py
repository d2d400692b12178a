"""A gateway and a scripted provider as processes of their own, for clients that bring their own loops and threads."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec
import pytest

from holdfast.app.readiness import READY_FD, decode
from tests import leaks

_START_S = 30.0
_STOP_S = 5.0
PROTOCOLS = {"gpt": "openai", "claude": "anthropic", "gem": "gemini", "nova": "bedrock"}
"""Models of the gateway, and the protocol that their provider speaks."""
FAULTS = {
    "bad": "400",
    "busy": "429=3s",
    "broken": "500",
    "full": "529",
    "page": "html=502",
    "torn": "words=20,error_after=8,pace=40",
}
"""What the models ``gpt-bad``, ``claude-busy`` and so on do, as the provider is told."""
_URLS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "bedrock": ""}

_UPSTREAM = {"": "mock-small"} | {f"-{name}": f"mock-small@{order}" for name, order in FAULTS.items()}
_PRICE = {"input": 1.0, "output": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Where the gateway and its provider answer."""

    url: str
    """``http://127.0.0.1:PORT``."""
    provider: str


_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run it in a loop, and wait for what client libraries leave to the garbage collection: closing of generators."""

    async def whole() -> _T:
        done = await work
        await asyncio.get_running_loop().shutdown_asyncgens()
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left, timeout=_STOP_S)
        return done

    return asyncio.run(whole())


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Started once, for all clients."""
    with TemporaryDirectory() as directory, _running(["mock-provider", "--listen", "127.0.0.1:0"]) as provider:
        file = Path(directory, "gateway.json")  # JSON is YAML
        file.write_bytes(msgspec.json.encode(_settings(provider, directory)))
        with _running(["gateway", "-c", str(file)]) as url:
            yield Stack(url=url, provider=provider)


def _settings(provider: str, directory: str) -> dict[str, Any]:
    return {
        "gateway": {
            "listen": "127.0.0.1:0",
            "providers": {
                protocol: {"protocol": protocol, "url": provider + path, "private": True, "auth": "none"}
                for protocol, path in _URLS.items()
            },
            "models": {
                model + suffix: {"deployments": [{"provider": protocol, "model": upstream, "price": _PRICE}]}
                for model, protocol in PROTOCOLS.items()
                for suffix, upstream in _UPSTREAM.items()
            },
            # What clients do on an error is the subject, so that the gateway itself tries only once, and none of these
            # errors closes a deployment to the next test.
            "retry": {"attempts": 1},
            "health": {"consecutive": 1000, "minimum_volume": 10000},
            "admission": {"adaptive": False},
            "anonymous": {"tenant": "local"},
            "ledger": {"path": f"{directory}/ledger"},
            "log": {"requests": False},
        },
        "store": {"url": f"sqlite:{directory}/x.db"},
    }


@contextmanager
def _running(arguments: list[str]) -> Iterator[str]:
    """A service as a process: where it answers."""
    here, there = os.pipe()
    environ = os.environ | {READY_FD: str(there), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environ.pop(leaks.MARK, None)  # it belongs to the session, not to the test that happened to be the first
    command = [sys.executable, "-P", "-m", "holdfast", "run", *arguments]
    with os.fdopen(here, "rb") as ready:
        try:
            process = subprocess.Popen(command, env=environ, pass_fds=(there,))
        finally:
            os.close(there)
        leaks.KEPT.add(process.pid)
        try:
            if not select.select([ready], [], [], _START_S)[0] or not (line := ready.readline()):
                raise ChildProcessError(f"{arguments[0]} did not start")
            addresses = decode(line)
            assert addresses is not None
            yield next(iter(addresses.values()))
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            leaks.KEPT.discard(process.pid)
