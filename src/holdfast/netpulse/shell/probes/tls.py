"""The TLS check: chain, name, expiry."""

from __future__ import annotations

from holdfast.netpulse.core.settings import TlsCheck
from holdfast.netpulse.shell.probes.secure import dial_secure
from holdfast.netpulse.shell.probes.tcp import target
from holdfast.netpulse.shell.probes.trip import Trip


async def probe_tls(check: TlsCheck, trip: Trip) -> None:
    """Raises :class:`Failed` when the handshake fails. How many days are too few is for the engine to judge."""
    host, port = target(check.address)
    wire = await dial_secure(trip, host, port, name=check.server_name or host, ca_file=check.ca_file)
    wire.close()
