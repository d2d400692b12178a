"""What a drill puts between load and backends: Holdfast, its control, HAProxy, nginx.

All get the same backends, the same number of workers, the same limits (1 s to connect,
2 s for one try, three retries at most) and no access log. The peers' configurations are
templates in ``benchmarks/peers/``, where every choice is explained.

A *flip* is counted each time a contender takes a backend out of use by its own decision.
"""

from __future__ import annotations

import abc
import csv
import getpass
import http.client
import json
import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Protocol, Self

from holdfast.drills.errors import DrillError, ProcessFailedError
from holdfast.drills.process import Child, free_port
from holdfast.evidence import project_root

POOL: Final = "drill"
"""Name of the only pool."""
CONTROL: Final = "control"
"""Name of the negative control."""
UNPROTECTED: Final[Mapping[str, object]] = {
    "damping": {"enabled": False},
    "breaker": {"enabled": False},
    "retry": {"budget_percent": 100, "budget_floor_per_s": 100_000},
}
"""A pool without damping, breaker and retry budget (a floor that no drill reaches)."""
_REQUEST_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.05


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

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here, with the remedy; ``None`` if it can."""
        return None

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
            time.sleep(_POLL_S)
        raise ProcessFailedError(f"{self.name} listens but did not pass a request on within {timeout_s:g} s: {answer}")


def fetch(
    port: int, method: str, path: str, body: object = None, *, timeout_s: float = _REQUEST_TIMEOUT_S
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


class Holdfast(Contender):
    """The balancer with its defaults, or with something switched off as the control."""

    def __init__(
        self,
        *,
        backends: Mapping[str, int],
        workers: int,
        directory: Path,
        name: str = "holdfast",
        pool: Mapping[str, object] | None = None,
        section: Mapping[str, object] | None = None,
    ) -> None:
        """``pool`` and ``section`` are what differs from the defaults in the pool and in ``balancer:``."""
        super().__init__(backends=backends, workers=workers, directory=directory)
        self.name = name
        self.admin_port = free_port()
        self._pool = dict(pool or {})
        self._section = dict(section or {})

    @property
    def config(self) -> Path:
        """The file that it runs on."""
        return self.directory / f"{self.name}.yaml"

    def write_config(
        self, backends: Mapping[str, int], routes: Sequence[Mapping[str, str]] = ({"pool": POOL},)
    ) -> None:
        """Write the file (JSON is YAML), by rename so that a reload never sees half of it."""
        document = {
            "balancer": {
                "listen": [f"127.0.0.1:{self.port}"],
                "admin": f"127.0.0.1:{self.admin_port}",
                "workers": self.workers,
                "access_log": {"enabled": False},
                "pools": {
                    POOL: {
                        "backends": [
                            {"id": name, "url": f"http://127.0.0.1:{port}"} for name, port in backends.items()
                        ],
                        **self._pool,
                    }
                },
                "routes": list(routes),
                **self._section,
            }
        }
        draft = self.config.with_suffix(".new")
        draft.write_text(json.dumps(document, indent=2))
        draft.rename(self.config)

    def prepare(self) -> list[str]:
        """Everything but the backends is left to the defaults."""
        self.write_config(self.backends)
        return [sys.executable, "-m", "holdfast", "run", "balancer", "-c", str(self.config)]

    def _wait_until_serving(self, timeout_s: float = 15.0) -> None:
        super()._wait_until_serving(timeout_s)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            _, body = fetch(self.admin_port, "GET", "/readyz")
            workers = json.loads(body).get("workers", {})
            if len(workers) == self.workers and set(workers.values()) == {"serving"}:
                return
            time.sleep(_POLL_S)
        raise ProcessFailedError(f"the workers of {self.name} did not all serve within {timeout_s:g} s: {body!r}")

    def flips(self) -> int:
        """Ejections, as its metrics count them."""
        status, body = fetch(self.admin_port, "GET", "/metrics")
        if status != 200:
            raise DrillError(f"GET /metrics of the balancer answered {status}")
        return int(sum_metric(body.decode(), "holdfast_ejections_total"))

    def admin(self, method: str, path: str, body: object = None) -> None:
        """One request to the admin plane. Raises :class:`DrillError` on any status but 2xx."""
        status, answer = fetch(self.admin_port, method, path, body)
        if not 200 <= status < 300:
            raise DrillError(f"{method} {path} of the admin plane answered {status}: {answer[:200]!r}")


def sum_metric(exposition: str, name: str) -> float:
    """Sum of all samples of one counter in Prometheus text; 0 while it has none.

    Raises :class:`DrillError` if the text does not even declare it.
    """
    lines = exposition.splitlines()
    if f"# TYPE {name} counter" not in lines:
        raise DrillError(f"the metrics of the balancer have no counter {name}")
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))


class _Peer(Contender):
    """A contender that is installed from the distribution and configured by a template."""

    program_name: ClassVar[str]
    """Name of the executable, of its package, and of the contender."""
    template: ClassVar[str]

    def __init__(self, *, backends: Mapping[str, int], workers: int, directory: Path) -> None:
        super().__init__(backends=backends, workers=workers, directory=directory)
        self.name = self.program_name

    @classmethod
    def missing(cls) -> str | None:
        if shutil.which(cls.program_name, path=_search_path()) is None:
            return f"{cls.program_name} is not installed; apt-get install {cls.program_name}"
        if not cls._template_path().exists():
            return f"{cls._template_path()} is missing; run the drill from a checkout of the project"
        return None

    @classmethod
    def _template_path(cls) -> Path:
        return project_root() / "benchmarks" / "peers" / cls.template

    @classmethod
    def program(cls) -> str:
        """Path of the executable."""
        found = shutil.which(cls.program_name, path=_search_path())
        if found is None:
            raise DrillError(str(cls.missing()))
        return found

    def write_template(self, values: Mapping[str, str]) -> Path:
        """Fill the template in; ``@NAME@`` becomes the value."""
        text = self._template_path().read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        path = self.directory / self.template
        path.write_text(text)
        return path


def _search_path() -> str:
    # Distributions keep servers in sbin, which is not on everybody's PATH.
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))


class HAProxy(_Peer):
    """HAProxy in the foreground, one process with as many threads as the others have workers."""

    program_name = "haproxy"
    template = "haproxy.cfg"

    def prepare(self) -> list[str]:
        """Fill the template in."""
        servers = [f"    server {name} 127.0.0.1:{port}" for name, port in self.backends.items()]
        path = self.write_template(
            {
                "WORKERS": str(self.workers),
                "DIR": str(self.directory),
                "PORT": str(self.port),
                "MAXCONN": str(self.max_clients()),
                "SERVERS": "\n".join(servers),
            }
        )
        return [self.program(), "-db", "-f", str(path)]

    @classmethod
    def max_clients(cls) -> int:
        """HAProxy reserves two descriptors for each, and will not start where it cannot have them."""
        return min(20_000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500) // 2)

    def flips(self) -> int:
        """Column ``chkdown`` of ``show stat``: transitions from up to down."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_REQUEST_TIMEOUT_S)
            sock.connect(str(self.directory / "haproxy.sock"))
            sock.sendall(b"show stat\n")
            pieces = []
            while piece := sock.recv(1 << 16):
                pieces.append(piece)
        rows = csv.DictReader(b"".join(pieces).decode().removeprefix("# ").splitlines())
        return sum(int(row["chkdown"] or 0) for row in rows if row["pxname"] == POOL and row["svname"] in self.backends)


class Nginx(_Peer):
    """nginx in the foreground, with its shared-memory zone."""

    program_name = "nginx"
    template = "nginx.cfg"

    def prepare(self) -> list[str]:
        """Fill the template in."""
        servers = [f"        server 127.0.0.1:{port} max_fails=20 fail_timeout=1s;" for port in self.backends.values()]
        path = self.write_template(
            {
                "WORKERS": str(self.workers),
                "DIR": str(self.directory),
                "PORT": str(self.port),
                "USER": getpass.getuser(),
                "SERVERS": "\n".join(servers),
            }
        )
        return [self.program(), "-p", str(self.directory), "-e", "nginx-error.log", "-c", str(path)]

    def flips(self) -> int:
        """Lines of the error log that say a server was disabled.

        nginx has no checks of its own: after ``fail_timeout`` it risks a live request, and a
        server that fails it is disabled, and counted, again.
        """
        log = self.directory / "nginx-error.log"
        return log.read_text(errors="replace").count("upstream server temporarily disabled") if log.exists() else 0


PEERS: Final[tuple[type[HAProxy | Nginx], ...]] = (HAProxy, Nginx)


class ContenderFactory(Protocol):
    """Makes one contender for these backends."""

    def __call__(self, *, backends: Mapping[str, int], workers: int, directory: Path) -> Contender:
        """See :class:`Contender`."""
        ...


def field_of(
    *, without: Mapping[str, object] | None, section: Mapping[str, object] | None = None
) -> tuple[dict[str, ContenderFactory], tuple[str, ...]]:
    """Everybody who takes part, by name, in the order in which they run; and a note on each who is missing.

    ``without`` are the pool settings that make the control, ``None`` for no control.
    """
    found: dict[str, ContenderFactory] = {"holdfast": partial(Holdfast, section=section)}
    notes = []
    for peer in PEERS:
        reason = peer.missing()
        if reason is None:
            found[peer.program_name] = peer
        else:
            notes.append(f"without {peer.program_name}: {reason}")
    if without is not None:
        found[CONTROL] = partial(Holdfast, name=CONTROL, pool=without, section=section)
    return found, tuple(notes)
