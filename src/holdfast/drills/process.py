"""Child processes of a drill: start, wait until they serve, weigh, end by their own pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from holdfast.drills.errors import ProcessFailedError

_POLL_S = 0.02


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now.

    Programs that cannot take port 0 leave no other way; the gap until they bind it is theirs to lose.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def process_tree(pid: int) -> list[int]:
    """A process and all its descendants that live now."""
    found = [pid]
    for parent in found:
        try:
            tasks = list(Path(f"/proc/{parent}/task").iterdir())
        except FileNotFoundError:
            continue
        for task in tasks:
            try:
                children = (task / "children").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found.extend(int(child) for child in children.split())
    return found


def cpu_s(pids: Sequence[int]) -> float:
    """User and system time of these processes so far, in seconds (steps of one clock tick)."""
    ticks = 0
    for pid in pids:
        # The command name is in parentheses and may itself contain anything, so split after it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def proportional_memory_bytes(pids: Sequence[int]) -> int:
    """Sum of the proportional set sizes: shared pages are split among those that share them.

    A process that has ended meanwhile counts nothing.
    """
    total = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in rollup.splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


class Child:
    """A server process. Its output goes to a file whose end is quoted when it fails."""

    def __init__(self, argv: Sequence[str], *, log: Path, environment: dict[str, str] | None = None) -> None:
        self.argv = tuple(argv)
        self._log = log
        with log.open("wb") as output:
            # A group of its own, so that an interrupt at the terminal reaches the drill alone,
            # which then ends its children in order.
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
                env=None if environment is None else os.environ | environment,
            )

    @property
    def pid(self) -> int:
        """Process id of the (master) process."""
        return self._process.pid

    @property
    def over(self) -> bool:
        """It has ended."""
        return self._process.poll() is not None

    def tree(self) -> list[int]:
        """The process and its workers."""
        return process_tree(self.pid)

    def wait_until_listening(self, port: int, *, timeout_s: float = 45.0) -> None:
        """Return once a connection to 127.0.0.1 succeeds. Raises :class:`ProcessFailedError`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ProcessFailedError(self._story(f"ended with exit code {self._process.returncode}"))
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                    return
            except OSError:
                time.sleep(_POLL_S)
        raise ProcessFailedError(self._story(f"did not listen on port {port} within {timeout_s:g} s"))

    def _story(self, what: str) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-8:]
        return f"{' '.join(self.argv)} {what}; its last words: " + " | ".join(lines)

    def kill(self) -> int:
        """SIGKILL to the process alone, and reap it; whatever it started has to notice by itself."""
        self._process.kill()
        return self._process.wait()

    def stop(self, *, timeout_s: float = 40.0) -> int:
        """SIGTERM, and SIGKILL after the time. Returns the exit code (negative: a signal).

        The time is longer than any contender's own drain, so that only one that hangs is killed.
        """
        family = self.tree()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            for pid in family:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return self._process.wait()
