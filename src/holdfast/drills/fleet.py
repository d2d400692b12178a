"""The drill's side of its backend process: start, command, read the ledgers, stop."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from holdfast.drills.errors import ProcessFailedError
from holdfast.drills.faults import Begun, Command, FleetSpec, Ledger, Started

_Frame = TypeVar("_Frame", Started, Begun, Ledger)


class Fleet:
    """A running set of backends. A context manager; leaving it ends the process."""

    ANSWER_TIMEOUT_S = 15.0

    def __init__(self, spec: FleetSpec) -> None:
        self.spec = spec
        self.ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.drills.backends"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            self._send(msgspec.json.encode(self.spec))
            self.ports = self._receive(Started).ports
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self) -> float:
        """Empty the ledgers and start the fault schedules. Returns the epoch (monotonic seconds)."""
        return self._ask("begin")

    def heal(self) -> float:
        """Make every backend healthy. Returns the moment (monotonic seconds)."""
        return self._ask("heal")

    def ledger(self) -> Ledger:
        """Everything that reached the backends since :meth:`begin`."""
        self._send(msgspec.json.encode(Command(do="ledger")))
        return self._receive(Ledger)

    def close(self) -> None:
        """End the process: its input ends, and if that does not suffice it is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _ask(self, do: str) -> float:
        self._send(msgspec.json.encode({"do": do}))
        return self._receive(Begun).at

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProcessFailedError("the backends are not running; use the fleet as a context manager")
        return self._process

    def _send(self, line: bytes) -> None:
        stdin = self._running().stdin
        if stdin is not None:
            stdin.write(line + b"\n")
            stdin.flush()

    def _receive(self, kind: type[_Frame]) -> _Frame:
        stdout = self._running().stdout
        deadline = time.monotonic() + self.ANSWER_TIMEOUT_S
        while stdout is not None and b"\n" not in self._buffer:
            ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(stdout.fileno(), 1 << 20) if ready else b""
            if not piece:
                raise ProcessFailedError(
                    f"the backend process did not answer within {self.ANSWER_TIMEOUT_S:g} s; "
                    f"exit code {self._running().poll()}; its own message is on standard error"
                )
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return msgspec.json.decode(line, type=kind)
