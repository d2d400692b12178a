"""``holdfast up``: a table and a line of status on a terminal, JSON lines anywhere else."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from holdfast.app import demo
from holdfast.app.child import Service
from holdfast.app.services import up as run_services
from holdfast.app.supervisor import Addresses
from holdfast.app.terminal import StatusLine, startup_table
from holdfast.cli.logs import log_to_stderr
from holdfast.telemetry import logs


def _for_children(*, interactive: bool) -> dict[str, str]:
    return {logs.LOG_FORMAT: os.environ.get(logs.LOG_FORMAT) or ("human" if interactive else "json")}


class _AfterTheTable(logging.Filter):
    """At the start a table says that services are up; later a line does."""

    shown = False

    def filter(self, record: logging.LogRecord) -> bool:
        return self.shown or getattr(record, "action", None) != "service_up"


def run_file(file: Path) -> None:
    """Run everything in a file."""
    interactive = sys.stderr.isatty()
    handler = log_to_stderr()
    environ = _for_children(interactive=interactive)
    if not interactive:
        run_services(file, environ=environ)
        return
    table = _AfterTheTable()
    handler.addFilter(table)

    def on_up(started: Sequence[Service], addresses: Addresses) -> None:
        sys.stderr.write(startup_table(started, addresses, columns=shutil.get_terminal_size().columns))
        table.shown = True

    run_services(file, environ=environ, on_up=on_up)


def _say_where(started: demo.Started) -> None:
    """What the table says, for a log. The key opens nothing but this run."""
    where = {
        "front": f"http://{demo.HOST}:{started.ports.front}",
        "admin": f"http://{demo.HOST}:{started.ports.admin}/admin/backends",
        "models": f"http://{demo.HOST}:{started.ports.front}/ai/v1",
        "pages": f"http://{demo.HOST}:{started.ports.sink}",
        "key": started.key,
        "file": str(started.file),
        "without_code": started.without_code,
    }
    logging.getLogger("holdfast.demo").info("the demo is up", extra={"action": "demo_up", **where})


def run_demo(port_base: int) -> None:
    """Run the demo."""
    interactive = sys.stderr.isatty()
    environ = _for_children(interactive=interactive)
    if not interactive:
        log_to_stderr()
        asyncio.run(demo.run(environ=environ, port_base=port_base, on_up=_say_where))
        return
    columns = shutil.get_terminal_size().columns
    status = StatusLine(sys.stderr, columns=columns)
    table = _AfterTheTable()
    log_to_stderr(status, interactive=True).addFilter(table)

    def on_up(started: demo.Started) -> None:
        front, admin = f"http://{demo.HOST}:{started.ports.front}", f"http://{demo.HOST}:{started.ports.admin}"
        status.write(startup_table(started.services, started.addresses, columns=columns))
        if started.without_code is None:
            status.write(
                f"Run code at {front}/code, or: "
                f"HOLDFAST_URL={front}/run HOLDFAST_KEY={started.key} holdfast exec run FILE\n"
            )
        else:
            status.write(f"This machine cannot run code yet: {started.without_code}. `holdfast doctor` says more.\n")
        status.write(
            f"Ask a model at {front}/ai/v1 with any key, or: curl {front}/ai/v1/chat/completions "
            """-d '{"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}'\n"""
        )
        status.write(
            f"Look at {front}, {front}/demo/ and {admin}/admin/backends\n"
            f"{front}/monitors watches all of it. Kill a backend by its process id above: one incident, its page at "
            f"http://{demo.HOST}:{started.ports.sink}\n"
            f"A heartbeat of {demo.HEARTBEAT_PER_S:g} requests a second of our own keeps it moving. "
            f"Configuration: {started.file}. Ctrl-C stops.\n"
        )
        table.shown = True

    running = demo.run(
        environ=environ, port_base=port_base, sink=status.write_bytes, on_up=on_up, on_beat=status.update
    )
    try:
        asyncio.run(running)
    finally:
        status.close()
