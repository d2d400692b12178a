"""A PostgreSQL server of one's own in a temporary directory: to measure on, and to kill."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final, Self

import psycopg

from holdfast.drills.errors import DrillError, ToolMissingError
from holdfast.drills.process import free_port, process_tree

_OWNERS: Final = ("postgres", "nobody")
"""Who runs the server for root, with whose rights it refuses to start."""
_START_S: Final = 30.0
_STOP_S: Final = 20.0
_POLL_S: Final = 0.02
_DATABASE: Final = "postgres"


class PostgresqlServer:
    """On a free port of loopback, reached with a password; every commit waits for the disk."""

    def __init__(self, *, options: tuple[str, ...] = ()) -> None:
        """Make the cluster. ``options`` are settings, ``NAME=VALUE``. Raises :class:`DrillError`."""
        self.port = free_port()
        self.password = secrets.token_hex(8)
        self._programs = programs()
        self._owner = _owner()
        self._home = Path(tempfile.mkdtemp(prefix="pg-"))
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        if self._owner:
            os.chown(self._home, self._owner["user"], self._owner["group"])
        try:
            self._make_cluster()
        except BaseException:
            self.remove()
            raise

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and remove its files."""
        self.remove()

    def url(self, database: str = _DATABASE) -> str:
        """For ``store.url``."""
        return f"postgresql://holdfast:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def socket_url(self) -> str:
        """The same through its Unix socket, which is reached from any network namespace, by this user's processes."""
        return f"postgresql://holdfast:{self.password}@/{_DATABASE}?host={self._home}&port={self.port}"

    @property
    def pid(self) -> int | None:
        """Of the server, while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers. Raises :class:`DrillError`."""
        options = (
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self._home}",  # the directory is closed to everybody else
            "max_connections=60",
            "log_min_messages=fatal",
            *self._options,
        )
        command: list[str | Path] = [self._programs / "postgres", "-D", self._data]
        command += [word for option in options for word in ("-c", option)]
        deadline = time.monotonic() + _START_S
        while not self._started(command, deadline):  # what a killed one shared is freed when its last child has gone
            time.sleep(_POLL_S)

    def _started(self, command: list[str | Path], deadline: float) -> bool:
        with self._log.open("ab") as log:
            self._process = process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_plain_environment(),
                process_group=0,
                **self._owner,
            )
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    story = self._log.read_text(errors="replace")[-2000:]
                    raise DrillError(f"PostgreSQL did not start ({error}): {story}") from None
                if process.poll() is not None:
                    return False
                time.sleep(_POLL_S)
            else:
                return True

    def stop(self) -> None:
        """End it and reap it; what is open is cut."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """What a power cut does, as far as processes go: all of them die at once."""
        pids = [] if self._process is None else process_tree(self._process.pid)
        self._signal_all(signal.SIGKILL)
        self._end(signal.SIGKILL)
        deadline = time.monotonic() + _STOP_S
        while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
            time.sleep(_POLL_S)  # what they share is in use until the last one is gone

    def pause(self) -> None:
        """Stop all its processes: connections stay, nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        self._signal_all(signal.SIGCONT)

    def remove(self) -> None:
        """Stop it and remove its files."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _log(self) -> Path:
        return self._home / "log"

    def _make_cluster(self) -> None:
        password = self._home / "password"
        password.write_text(self.password)
        password.chmod(0o644)  # in a directory that only the owner can enter
        with self._log.open("wb") as log:
            done = subprocess.run(
                [
                    *(self._programs / "initdb", "-D", self._data, "--no-sync", "--encoding=UTF8", "--locale=C"),
                    *("--username=holdfast", "--auth-local=trust", "--auth-host=password", f"--pwfile={password}"),
                ],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
                env=_plain_environment(),
                timeout=60,
                **self._owner,
            )
        if done.returncode:
            raise DrillError(f"initdb failed: {self._log.read_text(errors='replace')[-2000:]}")

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is not None:
            for pid in process_tree(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)


def programs() -> Path:
    """Directory of the server's programs, which Debian keeps off the PATH. Raises :class:`ToolMissingError`."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists()]
    if versions:
        return max(versions, key=lambda path: float(path.parent.name))
    found = shutil.which("postgres")
    if found is None:
        raise ToolMissingError("postgres", "postgresql")
    return Path(found).resolve().parent


def _owner() -> dict[str, Any]:
    """The user of the server's processes and files; nothing for whoever is not root."""
    if os.geteuid() != 0:
        return {}
    for name in _OWNERS:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return {"user": 65534, "group": 65534, "extra_groups": []}


def _plain_environment() -> dict[str, str]:
    """Nothing of ours: PG* variables would steer it."""
    return {"PATH": os.defpath, "LC_ALL": "C"}
