"""Connections with TLS."""

from __future__ import annotations

import asyncio
from typing import Final

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.shell.probes.finding import Failed
from holdfast.netpulse.shell.probes.trip import Trip
from holdfast.netpulse.shell.probes.wire import Wire, connect, dial

SECOND_LOOK_S: Final = 2.0
"""For another handshake, only to see since when a certificate has expired."""


async def dial_secure(
    trip: Trip,
    host: str,
    port: int,
    *,
    name: str,
    verify: bool = True,
    ca_file: str = "",
    alpn: tuple[str, ...] = (),
) -> Wire:
    """Connect and shake hands as ``name`` has to be proven. Raises :class:`Failed`."""
    context = await trip.trust.context(verify=verify, ca_file=ca_file, alpn=alpn)
    wire = await dial(trip, host, port)
    try:
        trip.note_certificate(await wire.secure(trip, context, name))
    except Failed as failed:
        wire.close()
        if failed.failure is Failure.CERTIFICATE and "expired" in failed.detail:
            await _note_expired(trip, port, name)
        raise
    except BaseException:
        wire.close()
        raise
    return wire


async def _note_expired(trip: Trip, port: int, name: str) -> None:
    """Look at the certificate that was refused, which OpenSSL does not show to those who refuse it."""
    measured = trip.tls_ms
    try:
        async with asyncio.timeout(min(SECOND_LOOK_S, trip.left())):
            wire = await connect(trip.loop, trip.address, port)
            try:
                context = await trip.trust.context(verify=False, ca_file="")
                trip.note_certificate(await wire.secure(trip, context, name))
            finally:
                wire.close()
    except (Failed, TimeoutError):
        pass  # then it stays unsaid
    trip.tls_ms = measured
