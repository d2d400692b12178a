"""The gRPC check: the standard health protocol, ``grpc.health.v1.Health/Check``.

Its two messages are so small that they are written and read here: ``HealthCheckRequest{string service = 1}`` and
``HealthCheckResponse{ServingStatus status = 1}``, each behind gRPC's prefix of a flag and four bytes of length.
"""

from __future__ import annotations

from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.core.settings import GrpcCheck
from holdfast.netpulse.shell.probes.finding import Failed, quoted
from holdfast.netpulse.shell.probes.http import USER_AGENT
from holdfast.netpulse.shell.probes.secure import dial_secure
from holdfast.netpulse.shell.probes.tcp import target
from holdfast.netpulse.shell.probes.trip import Trip
from holdfast.netpulse.shell.probes.wire import Wire, dial

BODY_LIMIT: Final = 4096
"""Bytes of the answer; a health answer has seven."""
_SERVING: Final = 1
_SERVING_STATUS: Final = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_CODES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)


async def probe_grpc(check: GrpcCheck, trip: Trip) -> None:
    """Raises :class:`Failed` when the service is not ``SERVING``."""
    host, port = target(check.address)
    if check.tls:
        wire = await dial_secure(trip, host, port, name=host, verify=check.verify, ca_file=check.ca_file, alpn=("h2",))
    else:
        wire = await dial(trip, host, port)
    try:
        call = _Call(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", check, trip)
        await call.run(wire)
    except h2.exceptions.H2Error as error:
        raise Failed(Failure.PROTOCOL, f"the target does not speak HTTP/2 as it should: {error}") from None
    finally:
        wire.close()
    call.judge()


class _Call:
    """One unary call."""

    def __init__(self, authority: str, check: GrpcCheck, trip: Trip) -> None:
        self._check = check
        self._trip = trip
        self._fields: dict[str, str] = {}
        self._data = b""
        self._ended = False
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._connection.initiate_connection()
        self._connection.send_headers(
            1,
            [
                (":method", "POST"),
                (":scheme", "https" if check.tls else "http"),
                (":path", "/grpc.health.v1.Health/Check"),
                (":authority", authority),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("grpc-timeout", f"{max(1, int(trip.left() * 1e3))}m"),
                ("user-agent", USER_AGENT),
            ],
        )
        self._connection.send_data(1, request(check.service), end_stream=True)

    async def run(self, wire: Wire) -> None:
        """Ask, and read to the end of the answer. Raises :class:`Failed` and what h2 raises."""
        trip, connection = self._trip, self._connection
        await wire.send(connection.data_to_send())
        sent = trip.clock()
        trip.doing = "the answer to begin"
        while not self._ended:
            data = await wire.receive()
            if not data:
                raise Failed(Failure.PROTOCOL, "the target closed the connection before its answer was complete")
            for event in connection.receive_data(data):
                self._take(event, sent)
            if reply := connection.data_to_send():
                await wire.send(reply)

    def _take(self, event: h2.events.Event, sent: float) -> None:
        trip = self._trip
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            if trip.first_byte_ms is None:
                trip.first_byte_ms = trip.since(sent)
                trip.doing = "the answer to end"
            self._fields |= dict(event.headers or ())  # type: ignore[arg-type]
        elif isinstance(event, h2.events.DataReceived):
            self._data += event.data or b""
            if len(self._data) > BODY_LIMIT:
                raise Failed(Failure.PROTOCOL, "the answer is too long for one to a health check")
        elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
            raise Failed(Failure.RESET, f"the target gave the call up (HTTP/2 error {int(event.error_code or 0)})")
        elif isinstance(event, h2.events.StreamEnded):
            self._ended = True
            trip.transfer_ms = round(trip.since(sent) - (trip.first_byte_ms or 0.0), 3)

    def judge(self) -> None:
        """Raises :class:`Failed` unless it is ``SERVING``."""
        if (status := self._fields.get(":status", "")) != "200":
            raise Failed(Failure.STATUS, f"expected HTTP status 200, got {quoted(status)}")
        text = self._fields.get("grpc-status", "")
        if not (text.isascii() and text.isdigit() and len(text) < 4):
            raise Failed(Failure.PROTOCOL, "the answer has no grpc-status: the target does not speak gRPC")
        self._trip.status = code = int(text)
        service = f"service {quoted(self._check.service)}" if self._check.service else "the server"
        if code:
            name = _CODES[code] if code < len(_CODES) else "an unknown code"
            raise Failed(Failure.STATUS, f"expected {service} to be SERVING, got {name} ({code})")
        serving = answer(self._data)
        if serving != _SERVING:
            name = _SERVING_STATUS[serving] if serving < len(_SERVING_STATUS) else str(serving)
            raise Failed(Failure.STATUS, f"expected {service} to be SERVING, got {name}")


def request(service: str) -> bytes:
    """A ``HealthCheckRequest`` with its prefix."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def answer(data: bytes) -> int:
    """The status in a ``HealthCheckResponse`` with its prefix. Raises :class:`Failed`."""
    message = data[5:]
    if len(data) < 5 or data[0] or int.from_bytes(data[1:5], "big") != len(message):
        raise Failed(Failure.PROTOCOL, "the answer is not one message of gRPC, or a compressed one")
    if not message:
        return 0
    if message[0] != 0x08 or not 2 <= len(message) <= 11 or message[-1] & 0x80:
        raise Failed(Failure.PROTOCOL, "the answer is no HealthCheckResponse")
    return sum((byte & 0x7F) << 7 * index for index, byte in enumerate(message[1:]))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
