"""HAProxy and nginx as contenders.

Their configurations are templates in ``benchmarks/peers/``, where every choice is explained.
"""

from __future__ import annotations

import csv
import getpass
import os
import resource
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from holdfast.drills.contender import POOL, REQUEST_TIMEOUT_S, Contender
from holdfast.drills.errors import DrillError
from holdfast.evidence import project_root


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
        """Why it cannot run here, with the remedy; ``None`` if it can."""
        if shutil.which(cls.program_name, path=_search_path()) is None:
            return f"{cls.program_name} is not installed; apt-get install {cls.program_name}"
        if not cls._template_path().exists():
            return f"benchmarks/peers/{cls.template} is missing; run the drill in a checkout of the project"
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
            sock.settimeout(REQUEST_TIMEOUT_S)
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
