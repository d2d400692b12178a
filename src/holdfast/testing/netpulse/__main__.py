"""``python -m holdfast.testing.netpulse PORT``: NetPulse's API over the scripted world, with checks that come in.

Anybody may read (``demo_readonly``); the key that may everything is printed.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from holdfast.identity import ROLES, Identities, Principal, new_key
from holdfast.netpulse.shell.api import serve_api
from holdfast.store import StoreSettings, open_database
from holdfast.testing.netpulse.engine import ScriptedNetpulse
from holdfast.testing.netpulse.scene import TENANT

CHECK_EVERY_S = 0.5


async def serve(port: int) -> None:
    """Until SIGTERM or SIGINT."""
    netpulse = ScriptedNetpulse(clock=time.time)  # noqa: TID251 - a process of its own
    netpulse.scene.settings = msgspec.structs.replace(netpulse.settings, demo_readonly=True)
    key = new_key()
    owner = Principal(tenant=TENANT, key_id="scripted", scopes=ROLES["owner"])
    with tempfile.TemporaryDirectory() as directory:
        database = await open_database(StoreSettings(url=f"sqlite:{Path(directory) / 'store.db'}"))
        identities = Identities(database, static={key: owner})
        await identities.open()
        sock = socket.create_server(("127.0.0.1", port))
        server = await serve_api(netpulse, netpulse.records, identities, sock)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        checking = asyncio.create_task(_keep_checking(netpulse))
        sys.stdout.write(f"http://127.0.0.1:{sock.getsockname()[1]} {key}\n")
        sys.stdout.flush()
        try:
            await server.run()
        finally:
            checking.cancel()
            await asyncio.gather(checking, return_exceptions=True)
            await identities.close()
            await database.close()


async def _keep_checking(netpulse: ScriptedNetpulse) -> None:
    regions = itertools.cycle(netpulse.settings.regions)
    for monitor in itertools.cycle(sorted(netpulse.settings.monitors)):
        netpulse.check(monitor, next(regions))
        await asyncio.sleep(CHECK_EVERY_S)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
