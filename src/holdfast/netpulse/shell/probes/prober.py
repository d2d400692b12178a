"""One probe from its settings to its finding."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from holdfast.kernel import Duration
from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import MonitorSettings
from holdfast.netpulse.shell.probes.command import probe_command
from holdfast.netpulse.shell.probes.dns import probe_dns
from holdfast.netpulse.shell.probes.examiner import Examiner
from holdfast.netpulse.shell.probes.finding import Failed, Finding, Leave, from_os_error, printable
from holdfast.netpulse.shell.probes.grpc import probe_grpc
from holdfast.netpulse.shell.probes.http import probe_http
from holdfast.netpulse.shell.probes.icmp import probe_icmp
from holdfast.netpulse.shell.probes.names import Names
from holdfast.netpulse.shell.probes.tcp import probe_tcp
from holdfast.netpulse.shell.probes.tls import probe_tls
from holdfast.netpulse.shell.probes.trip import Trip
from holdfast.netpulse.shell.probes.trust import Trust
from holdfast.netpulse.shell.probes.websocket import probe_websocket

OVERDUE_S: Final = 0.5
"""A timer that is later than this says that the agent has no time, not that the target took too much of it."""

log = logging.getLogger(__name__)


class Prober:
    """Probes, any number of them at a time. To be closed in the end."""

    def __init__(
        self, leave: Leave, *, clock: Callable[[], float] | None = None, wall: Callable[[], float] = time.time
    ) -> None:
        """``clock`` measures, in seconds (the loop's when ``None``); ``wall`` is what certificates are held against."""
        self._leave = leave
        self._clock = clock or time.monotonic
        self._wall = wall
        self._names = Names()
        self._trust = Trust()
        self._examiner = Examiner(self._clock)

    async def probe(self, spec: MonitorSettings) -> Finding:
        """Probe once. Raises nothing but ``CancelledError``; takes no longer than ``spec.timeout`` and a bit."""
        trip = Trip(
            loop=asyncio.get_running_loop(),
            clock=self._clock,
            wall=self._wall,
            timeout_s=spec.timeout,
            allow_private=spec.allow_private and self._leave.allow_private,
            names=self._names,
            trust=self._trust,
            examiner=self._examiner,
        )
        failure, detail = Failure.NONE, ""
        try:
            async with asyncio.timeout(spec.timeout):
                await self._check(spec, trip)
        except Failed as failed:
            failure, detail = failed.failure, failed.detail
        except TimeoutError:
            failure, detail = Failure.TIMEOUT, f"not over within {Duration(spec.timeout)}: waited for {trip.doing}"
            if (overdue_s := self._clock() - trip.deadline) > OVERDUE_S:
                # Our own timer came late: so may everything that the target sent.
                failure, detail = Failure.AGENT, f"the agent was too busy: {overdue_s:.1f} s late to see the timeout"
        except OSError as error:
            verdict = from_os_error(error)
            failure, detail = verdict.failure, verdict.detail
        except Exception as error:  # a mistake of ours must not look like an outage, nor end the agent
            log.exception("probe failed", extra={"action": "probe_failed"})
            failure, detail = (
                Failure.AGENT,
                f"the probe itself broke ({type(error).__name__}); the agent's log has more",
            )
        return Finding(
            outcome=_outcome(failure),
            failure=failure,
            total_ms=trip.since(trip.began),
            phases=trip.phases(),
            status=trip.status,
            detail=printable(detail),
            address=trip.address,
            cert_days=trip.cert_days,
        )

    async def close(self) -> None:
        """End what is kept between probes."""
        self._examiner.close()

    def _check(self, spec: MonitorSettings, trip: Trip) -> Awaitable[None]:
        if spec.http is not None:
            return probe_http(spec.http, trip)
        if spec.tcp is not None:
            return probe_tcp(spec.tcp, trip)
        if spec.tls is not None:
            return probe_tls(spec.tls, trip)
        if spec.dns is not None:
            return probe_dns(spec.dns, trip)
        if spec.icmp is not None:
            return probe_icmp(spec.icmp, trip)
        if spec.websocket is not None:
            return probe_websocket(spec.websocket, trip)
        if spec.grpc is not None:
            return probe_grpc(spec.grpc, trip)
        if spec.command is None:
            raise Failed(Failure.AGENT, "the monitor has nothing that an agent could probe")
        if not self._leave.allow_commands:
            raise Failed(Failure.AGENT, "this agent runs no commands; set agents.allow_commands to let it")
        return probe_command(spec.command, trip)


def _outcome(failure: Failure) -> Outcome:
    if failure is Failure.NONE:
        return Outcome.UP
    return Outcome.UNKNOWN if failure is Failure.AGENT else Outcome.DOWN
