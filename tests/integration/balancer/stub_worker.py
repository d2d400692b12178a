"""A worker that speaks the messages and relays nothing.

It writes what it hears as JSON lines to standard output's stand-in, the file named by
``STUB_LOG``, and misbehaves as ``STUB_MODE`` says:

``crash``      exits at once
``refuse``     refuses every configuration after its first whose drain timeout is 13 s
``silent``     never answers ``Ask``
``stubborn``   ignores ``Drain``
``deaf``       does not answer a configuration after its first
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec

from holdfast.balancer.core import messages as m
from holdfast.balancer.shell.control import worker_end


def note(kind: str, **fields: object) -> None:
    """Append one line; short appends to a file opened for that are atomic."""
    line = msgspec.json.encode({"pid": os.getpid(), "kind": kind, **fields}, enc_hook=float) + b"\n"
    with Path(os.environ["STUB_LOG"]).open("ab", buffering=0) as log:
        log.write(line)


async def main() -> int:
    """Speak until told to drain, or until the master is gone."""
    mode = os.environ.get("STUB_MODE", "")
    if mode == "crash":
        return 3
    channel = await worker_end()
    started = False
    answered = 0
    while (message := await channel.receive()) is not None:
        match message:
            case m.Configure(generation, settings, discovered, strategies):
                note(
                    "configure",
                    generation=generation,
                    pools=sorted(settings.pools),
                    listen=settings.listen,
                    discovered=[endpoint.backend for endpoint in discovered],
                    strategies=strategies,
                )
                refused = mode == "refuse" and started and float(settings.drain_timeout) == 13.0
                if mode != "deaf" or not started:
                    channel.post(m.Ready(os.getpid(), generation, "no such certificate" if refused else None))
                if not started:
                    served = m.BackendReport(m.BackendRef("web", "b"), (m.Run(None, 100),), 0, 0.01)
                    channel.post(m.Outcomes((served,)))
                    # Each request went on to b, which served it: the fault is that of a.
                    failed = m.BackendReport(
                        m.BackendRef("web", "a"), (m.Run("connect", 20, tuple(range(20))),), 3, 0.25
                    )
                    channel.post(m.Outcomes((failed, served)))
                started = True
            case m.Views(views, limits):
                note("views", views=[(v.ref.pool, v.ref.backend, v.weight, v.state) for v in views], limits=limits)
            case m.Switch(pool, strategy):
                note("switch", pool=pool, strategy=strategy)
            case m.Ask(number):
                answered += 1
                if mode != "silent" or answered == 1:
                    requests = {"web\x1fa\x1f200": float(os.environ.get("STUB_REQUESTS", "7"))}
                    channel.post(
                        m.Stats(
                            number, {"holdfast_requests_total": requests}, {"holdfast_in_flight": {"web\x1fa": 3.0}}
                        )
                    )
            case m.Drain(timeout_s):
                note("drain", timeout_s=timeout_s)
                if mode != "stubborn":
                    channel.post(m.Drained(0))
                    await channel.flush(1.0)
                    channel.close()
                    return 0
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(asyncio.run(main()))
