"""``holdfast up``: a table and a line of status on a terminal, JSON lines anywhere else."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from holdfast.app import demo
from holdfast.app.child import Service
from holdfast.app.config import load
from holdfast.app.services import services
from holdfast.app.services import up as run_services
from holdfast.app.supervisor import Addresses, to_stderr
from holdfast.app.terminal import StatusLine, startup_table
from holdfast.telemetry import logs

LOG_FORMAT: Final = "HOLDFAST_LOG_FORMAT"
"""``human`` or ``json``; by default a terminal gets ``human``. Children inherit the choice, as they write to a pipe."""


def log_to_stderr() -> None:
    """Set logging up for a service."""
    choice = os.environ.get(LOG_FORMAT)
    logs.configure(human={"human": True, "json": False}.get(choice or ""))


def run_file(file: Path) -> None:
    """Run everything in a file."""
    interactive = sys.stderr.isatty()
    os.environ.setdefault(LOG_FORMAT, "human" if interactive else "json")
    log_to_stderr()
    on_up: Callable[[Addresses], None] | None = None
    if interactive:
        started = services(load(file).config, file)
        columns = shutil.get_terminal_size().columns

        def on_up(addresses: Addresses) -> None:
            sys.stderr.write(startup_table(started, addresses, columns=columns))

    run_services(file, sink=to_stderr, on_up=on_up)


def run_demo(port_base: int) -> None:
    """Run the demo."""
    interactive = sys.stderr.isatty()
    os.environ.setdefault(LOG_FORMAT, "human" if interactive else "json")
    if not interactive:
        log_to_stderr()
        asyncio.run(demo.run(port_base=port_base))
        return
    columns = shutil.get_terminal_size().columns
    status = StatusLine(sys.stderr, columns=columns)
    logs.configure(stream=status, human=os.environ[LOG_FORMAT] == "human")

    def on_up(started: Sequence[Service], addresses: Addresses, file: Path) -> None:
        status.write(startup_table(started, addresses, columns=columns))
        status.write(
            f"Look at http://{demo.HOST}:{port_base} and http://{demo.HOST}:{port_base + 1}/admin/backends\n"
            f"A heartbeat of {demo.HEARTBEAT_PER_S:g} requests a second of our own keeps it moving. "
            f"Configuration: {file}. Ctrl-C stops.\n"
        )

    try:
        asyncio.run(demo.run(port_base=port_base, sink=status.write_bytes, on_up=on_up, on_beat=status.update))
    finally:
        status.close()
