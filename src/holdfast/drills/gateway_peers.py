"""LiteLLM's proxy and Portkey's gateway, beside ours where they are installed.

Neither is packaged by distributions, so each is found by a variable of the environment, or on the path::

    python -m venv peers && peers/bin/pip install 'litellm[proxy]'      HOLDFAST_LITELLM=peers/bin/litellm
    npm install --prefix peers @portkey-ai/gateway                      HOLDFAST_PORTKEY=peers/node_modules/.bin/gateway

Both run with one worker, without a database, without logging and without retries: the least work that they do.
"""

from __future__ import annotations

import abc
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from holdfast.drills.errors import DrillError
from holdfast.drills.gateway_load import chat
from holdfast.drills.gateway_service import MODEL, Provider, wait_for_answer
from holdfast.drills.process import Child, free_port

_START_S: Final = 120.0


class GatewayPeer(abc.ABC):
    """Another gateway. A context manager; leaving it ends its processes."""

    name: ClassVar[str]
    variable: ClassVar[str]
    program_name: ClassVar[str | None]
    """On the path; ``None`` where the name there says too little."""
    install: ClassVar[str]
    model: ClassVar[str]

    def __init__(self, provider: Provider, directory: Path) -> None:
        self.provider = provider
        self.directory = directory / self.name
        self.directory.mkdir(exist_ok=True)
        self.port = free_port()
        self.start_s = 0.0
        self._child: Child | None = None

    @classmethod
    def program(cls) -> str | None:
        """Path of the executable, if it is here."""
        given = os.environ.get(cls.variable)
        if given:
            return shutil.which(given)
        return None if cls.program_name is None else shutil.which(cls.program_name)

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here, with the remedy; ``None`` if it can."""
        if cls.program() is not None:
            return None
        return f"{cls.name} is not installed; {cls.install}, and name it in {cls.variable}"

    @abc.abstractmethod
    def argv(self, program: str) -> list[str]:
        """Write what it is configured by; return the command."""

    @property
    def environment(self) -> dict[str, str]:
        """Added to the environment of its process."""
        return {}

    @property
    def headers(self) -> dict[str, str]:
        """Fields that every request needs."""
        return {}

    def __enter__(self) -> Self:
        program = self.program()
        if program is None:
            raise DrillError(str(self.missing()))
        began = time.monotonic()
        argv = self.argv(program)
        self._child = Child(argv, log=self.directory / "log", environment=self.environment)
        try:
            self._child.wait_until_listening(self.port, timeout_s=_START_S)
            body = chat("words=1", model=self.model).partition(b"\r\n\r\n")[2]
            headers = {"Content-Type": "application/json", "Authorization": "Bearer drill", **self.headers}
            wait_for_answer(self.port, "/v1/chat/completions", body=body, headers=headers)
        except BaseException:
            self.stop()
            raise
        self.start_s = time.monotonic() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        if self._child is None:
            raise DrillError(f"{self.name} is not running")
        return self._child.tree()

    def stop(self) -> None:
        """End it."""
        child, self._child = self._child, None
        if child is not None:
            child.stop(timeout_s=10.0)


class LiteLLM(GatewayPeer):
    """LiteLLM's proxy server."""

    name = "litellm"
    variable = "HOLDFAST_LITELLM"
    program_name = "litellm"
    install = "pip install 'litellm[proxy]' into an environment of its own"
    model = MODEL

    def argv(self, program: str) -> list[str]:
        """One model at one deployment."""
        deployment = {
            "model": "openai/mock-small",
            "api_base": f"http://127.0.0.1:{self.provider.port}/v1",
            "api_key": "drill",
        }
        config = self.directory / "config.yaml"
        config.write_text(
            json.dumps(
                {
                    "model_list": [{"model_name": MODEL, "litellm_params": deployment}],
                    "litellm_settings": {"telemetry": False, "num_retries": 0, "set_verbose": False},
                    # As ours: whoever asks on loopback is answered.
                    "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},
                }
            )
        )
        return [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(self.port), "--num_workers", "1"]

    @property
    def environment(self) -> dict[str, str]:
        """No look-up of prices on the network, no chatter."""
        return {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}


class Portkey(GatewayPeer):
    """Portkey's gateway on Node.js."""

    name = "portkey"
    variable = "HOLDFAST_PORTKEY"
    program_name = None
    install = "npm install @portkey-ai/gateway into a folder of its own"
    model = "mock-small"

    def argv(self, program: str) -> list[str]:
        """It is configured by fields of each request."""
        return [program, f"--port={self.port}", "--headless"]

    @property
    def environment(self) -> dict[str, str]:
        """Its published build, and no console page."""
        return {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}

    @property
    def headers(self) -> dict[str, str]:
        """The provider is named by the client."""
        return {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{self.provider.port}/v1",
        }


PEERS: Final[tuple[type[GatewayPeer], ...]] = (LiteLLM, Portkey)


def installed() -> tuple[tuple[type[GatewayPeer], ...], tuple[str, ...]]:
    """Those that can run here, and a note on each that cannot."""
    here = tuple(peer for peer in PEERS if peer.missing() is None)
    return here, tuple(f"without {peer.name}: {peer.missing()}" for peer in PEERS if peer not in here)


def request_of(peer: GatewayPeer | None, orders: str, *, stream: bool = False) -> bytes:
    """A client's request as this gateway wants it; ``None``: ours."""
    headers: Mapping[str, str] = {} if peer is None else peer.headers
    return chat(orders, model=MODEL if peer is None else peer.model, stream=stream, headers=headers)
