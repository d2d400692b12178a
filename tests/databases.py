"""Stores for tests: SQLite files, and a PostgreSQL server that the tests start themselves."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from holdfast.store import StoreSettings, open_database
from tests.leaks import KEPT
from tests.machine import free_port, require_tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from holdfast.store import Database

DRIVERS: Final = ("sqlite", "postgresql")

_OWNERS: Final = ("postgres", "nobody")
"""Who runs the server when the tests run as root, with whose rights it refuses to start."""

_HASTE: Final = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""What a server that is thrown away may save; not where a test asks what survives."""

_START_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Owner:
    """The user of the server's processes and files; ``None`` is whoever runs the tests."""

    uid: int | None
    gid: int | None

    def popen(self) -> dict[str, Any]:
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}


class PostgresqlServer:
    """A server of its own in a temporary directory, on a free port of loopback, reached with a password."""

    def __init__(self, *, durable: bool = False) -> None:
        self.port = free_port()
        self.password = secrets.token_hex(8)
        self._bin = Path(require_postgresql())
        self._owner = _owner()
        self._home = Path(tempfile.mkdtemp(prefix="pg-"))
        self._options = () if durable else _HASTE
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._emptied: list[str] = []
        if self._owner.uid is not None and self._owner.gid is not None:
            os.chown(self._home, self._owner.uid, self._owner.gid)
        try:
            self._make_cluster()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = (
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self._home}",  # the directory is closed to everybody else
            "max_connections=60",
            "shared_buffers=16MB",
            "log_min_messages=fatal",
            *self._options,
        )
        command = [self._bin / "postgres", "-D", self._home / "data", *(word for o in options for word in ("-c", o))]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_plain_environment(),
                **self._owner.popen(),
            )
        KEPT.add(self._process.pid)
        deadline = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start ({error}):\n{self._log()}") from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it and reap it; what is open is cut."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """What a power cut does, as far as processes go: all of them die at once."""
        if self._process is not None:
            pids = [self._process.pid, *_children_of(self._process.pid)]
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._end(signal.SIGKILL)
            deadline = time.monotonic() + 10
            while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
                time.sleep(0.005)  # its shared memory is in use until the last one is gone

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

    def url(self, database: str) -> str:
        """For ``store.url``."""
        return f"postgresql://holdfast:{self.password}@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The address of an empty database, for one user at a time."""
        name = self._emptied.pop() if self._emptied else self._new_database()
        yield self.url(name)
        with psycopg.connect(self.url(name), autocommit=True) as admin:  # 10 ms; a new one takes 200
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            admin.execute("DROP SCHEMA public CASCADE")
            admin.execute("CREATE SCHEMA public")
        self._emptied.append(name)

    def _new_database(self) -> str:
        name = f"t{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return name

    def _make_cluster(self) -> None:
        password = self._home / "password"
        password.write_text(self.password)
        password.chmod(0o644)  # in a directory that only the owner can enter
        subprocess.run(
            [
                *(self._bin / "initdb", "-D", self._home / "data", "--no-sync", "--encoding=UTF8", "--locale=C"),
                *("--username=holdfast", "--auth-local=trust", "--auth-host=password", f"--pwfile={password}"),
            ],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_plain_environment(),
            timeout=60,
            **self._owner.popen(),
        )

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is not None:
            for pid in (self._process.pid, *_children_of(self._process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
        KEPT.discard(process.pid)

    def _log(self) -> str:
        return (self._home / "log").read_text(errors="replace")[-2000:]


def require_postgresql() -> str:
    """Directory of the server's programs, which Debian keeps off the PATH; without it as :func:`require_tool`."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists()]
    if versions:
        return str(max(versions, key=lambda path: float(path.parent.name)))
    return str(Path(require_tool("postgres", "postgresql")).resolve().parent)


def _owner() -> _Owner:
    if os.geteuid() != 0:
        return _Owner(None, None)
    for name in _OWNERS:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return _Owner(user.pw_uid, user.pw_gid)
    return _Owner(65534, 65534)


def _plain_environment() -> dict[str, str]:
    """Nothing of ours: the server outlives the test that happens to start it, and PG* variables would steer it."""
    return {"PATH": os.defpath, "LC_ALL": "C"}


def _children_of(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """One server for all tests of this process; not to be killed, and with ``fsync`` off."""
    server = PostgresqlServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=DRIVERS)
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreSettings]:
    """A fresh, empty store of each kind."""
    if request.param == "sqlite":
        yield StoreSettings(url=f"sqlite:{tmp_path}/store.db")
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    with server.database() as url:
        yield StoreSettings(url=url)


@pytest.fixture
async def database(store_settings: StoreSettings) -> AsyncIterator[Database]:
    """A fresh, open store of each kind, for tests marked ``anyio``."""
    async with await open_database(store_settings) as opened:
        yield opened
