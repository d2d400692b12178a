"""What a drill puts between load and backends.

All contenders get the same backends, the same number of workers, the same limits (1 s to
connect, 2 s for one try, three retries at most) and no access log.

A *flip* is counted each time a contender takes a backend out of use by its own decision.
"""

from __future__ import annotations

import abc
import http.client
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from holdfast.drills.errors import ProcessFailedError
from holdfast.drills.process import Child, free_port

POOL: Final = "drill"
"""Name of the only pool."""
REQUEST_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.05


class Contender(abc.ABC):
    """A proxy under test. A context manager; leaving it ends its processes."""

    name: str
    """Prefix of its samples and metrics in the evidence."""

    def __init__(self, *, backends: Mapping[str, int], workers: int, directory: Path) -> None:
        """``backends`` are ports of 127.0.0.1 by name; ``directory`` exists."""
        self.backends = dict(backends)
        self.workers = workers
        self.directory = directory
        self.port = free_port()
        self._child: Child | None = None

    def __enter__(self) -> Self:
        argv = self.prepare()
        self._child = Child(argv, log=self.directory / f"{self.name}.log")
        try:
            self._child.wait_until_listening(self.port)
            self._wait_until_serving()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abc.abstractmethod
    def prepare(self) -> list[str]:
        """Write the configuration; return the command."""

    @abc.abstractmethod
    def flips(self) -> int:
        """How often it has taken a backend out of use since it started."""

    def restart(self) -> None:
        """End it and start it again on the same port."""
        self.stop()
        self.__enter__()

    def stop(self) -> int:
        """End it. Returns its exit code."""
        child, self._child = self._child, None
        return 0 if child is None else child.stop()

    def pids(self) -> list[int]:
        """Its processes, the master first."""
        if self._child is None:
            raise ProcessFailedError(f"{self.name} is not running; use the contender as a context manager")
        return self._child.tree()

    def _wait_until_serving(self, timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        answer = "nothing"
        while time.monotonic() < deadline:
            try:
                status, _ = fetch(self.port, "GET", "/drill")
            except (OSError, http.client.HTTPException) as error:
                answer = repr(error)
            else:
                if status == 200:
                    return
                answer = f"status {status}"
            time.sleep(POLL_S)
        raise ProcessFailedError(f"{self.name} listens but did not pass a request on within {timeout_s:g} s: {answer}")


def fetch(
    port: int, method: str, path: str, body: object = None, *, timeout_s: float = REQUEST_TIMEOUT_S
) -> tuple[int, bytes]:
    """One request to 127.0.0.1, with a JSON body if given. Returns status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        # The type is named even without a body: the admin plane wants it on everything but GET,
        # because a form on some web page cannot send it.
        headers = {"Connection": "close", "Content-Type": "application/json"}
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
