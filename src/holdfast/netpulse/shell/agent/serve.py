"""The way in: run an agent in this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import holdfast
from holdfast.netpulse.shell.agent.agent import Agent
from holdfast.netpulse.shell.agent.clock import Clock, boot_id
from holdfast.netpulse.shell.agent.errors import AgentError
from holdfast.netpulse.shell.agent.link import Link
from holdfast.netpulse.shell.agent.spool import Spool, SpoolBusy
from holdfast.netpulse.shell.certificates import Bundle, Identity, find_bundle, identity
from holdfast.netpulse.shell.probes import Leave
from holdfast.netpulse.shell.probes import Prober as RealProber
from holdfast.web.connections import places

if TYPE_CHECKING:
    from holdfast.netpulse.core.settings import AgentSettings, NetpulseSettings
    from holdfast.netpulse.shell.agent.ports import Prober

log = logging.getLogger(__name__)

BUNDLE_S: Final = 30.0
"""How long to wait for a certificate: an engine that was started at the same time makes it."""
_LOOK_EVERY_S: Final = 0.1
_MOST_IN_A_REGION: Final = 64
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve_agent(
    settings: NetpulseSettings,
    *,
    region: str,
    name: str | None,
    ready: Callable[[Mapping[str, str]], None],
    prober: Prober | None = None,
    clock: Clock | None = None,
) -> int:
    """Run until SIGTERM or SIGINT; the exit code, 0.

    Without a ``name`` it is that of the certificate, or the first of ``REGION``, ``REGION-2`` ... that has a
    certificate and is not running on this machine. ``ready`` is called once the agent watches, whether or not the
    engine answers. On a signal no more probes begin, running ones may finish for ``agents.drain_timeout``, and what
    was seen is sent or stays in the spool; a second signal ends the waiting. ``prober`` and ``clock`` are for tests.

    Raises :class:`AgentError` where there is no certificate or no spool, and
    :class:`~holdfast.netpulse.shell.certificates.CertificateError` for a certificate that cannot be used.
    """
    wanted = settings.agents
    clock = clock or Clock()
    who, bundle, spool = await take_up(wanted, region, name, clock)
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(spool.close)
        link = Link(wanted.engine or f"https://{wanted.listen}", bundle)
        stack.push_async_callback(link.close)
        if prober is None:
            leave = Leave(allow_private=wanted.allow_private, allow_commands=wanted.allow_commands)
            prober = real = RealProber(leave)
            stack.push_async_callback(real.close)
        agent = Agent(
            link,
            spool,
            prober,
            clock,
            name=who.agent,
            region=who.region,
            epoch=secrets.token_hex(8),
            version=holdfast.__version__,
            schedule=Path(wanted.spool) / f"{who.agent}.schedule",
            canaries=wanted.canaries,
            places=places(wanted.concurrency),  # each needs a descriptor
            heartbeat_s=wanted.heartbeat,
            drain_s=wanted.drain_timeout,
            rng=Random(),
            renew=link.renew,
        )
        try:
            for number in _STOPS:
                loop.add_signal_handler(number, agent.stop)
            log.info("agent is ready", extra={"action": "agent_ready", "agent": who.agent, "region": who.region})
            ready({})
            return await agent.run()
        finally:
            for number in _STOPS:
                loop.remove_signal_handler(number)


async def take_up(wanted: AgentSettings, region: str, name: str | None, clock: Clock) -> tuple[Identity, Bundle, Spool]:
    """Who this agent is: the first certificate that fits and whose spool nobody has."""
    directory = Path(wanted.certificates)
    deadline = clock.steady() + BUNDLE_S
    said = False
    while True:
        found = False
        for candidate in [name] if name is not None else _names(region):
            bundle = find_bundle(directory, candidate)
            if bundle is None:
                break
            who = identity(bundle)
            if who.region != region or (name is not None and who.agent != name):
                raise AgentError(
                    f"{bundle.certificate} is of the agent {who.agent} in {who.region}, not of "
                    f"{name or 'one'} in {region}; make another with `holdfast netpulse certs agent`"
                )
            found = True
            path = Path(wanted.spool) / f"{who.agent}.sqlite"
            try:
                return who, bundle, Spool.open(path, size_bytes=wanted.spool_size, clock=clock, boot=boot_id())
            except SpoolBusy:
                if name is not None or who.agent != candidate:
                    raise
        if found:
            raise AgentError(
                f"every agent of {region} that has a certificate is running; make one for another with "
                "`holdfast netpulse certs agent`"
            )
        if clock.steady() > deadline:
            raise AgentError(
                f"{directory} has no certificate of {name or f'an agent of {region}'}; make it with "
                "`holdfast netpulse certs agent` and copy the bundle here, or correct agents.certificates"
            )
        if not said:
            said = True
            log.info("waiting for a certificate", extra={"action": "agent_waits", "directory": str(directory)})
        await asyncio.sleep(_LOOK_EVERY_S)


def _names(region: str) -> list[str]:
    return [region, *(f"{region}-{number}" for number in range(2, _MOST_IN_A_REGION))]
