"""The TCP check: connect, and if wanted a line each way."""

from __future__ import annotations

from typing import Final

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.core.settings import TcpCheck
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.probes.finding import Failed, quoted
from holdfast.netpulse.shell.probes.place import host_and_port
from holdfast.netpulse.shell.probes.trip import Trip
from holdfast.netpulse.shell.probes.wire import dial

READ_LIMIT: Final = 64 * 1024
"""Bytes in which the expected text has to be."""


def target(address: str) -> tuple[str, int]:
    """Host and port of a monitor. Raises :class:`Failed`."""
    try:
        return host_and_port(address)
    except Invalid as problem:
        raise Failed(Failure.AGENT, f"the monitor's address cannot be probed: {problem}") from None


async def probe_tcp(check: TcpCheck, trip: Trip) -> None:
    """Raises :class:`Failed` when the target is not up."""
    wire = await dial(trip, *target(check.address))
    try:
        if check.send:
            trip.doing = "what is sent to be taken"
            await wire.send(check.send.encode())
        if not check.expect:
            return
        sent = trip.clock()
        wanted = check.expect.encode()
        trip.doing = f"{quoted(check.expect)} to come"
        data = b""
        while wanted not in data:
            more = await wire.receive()
            if not data:
                trip.first_byte_ms = trip.since(sent)
            if not more:
                raise Failed(
                    Failure.CONTENT, f"expected {quoted(check.expect)}, got {len(data)} bytes without it and the end"
                )
            data += more
            if len(data) > READ_LIMIT:
                raise Failed(Failure.CONTENT, f"expected {quoted(check.expect)}, got {len(data)} bytes without it")
        trip.transfer_ms = round(trip.since(sent) - (trip.first_byte_ms or 0.0), 3)
    finally:
        wire.close()
