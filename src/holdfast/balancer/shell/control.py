"""The channel between the master and one worker.

A frame is a big-endian ``uint32`` length and that many bytes of msgpack, one message of
:mod:`holdfast.balancer.core.messages` each, over an ``AF_UNIX`` ``SOCK_STREAM`` pair.

Bounds: a frame has at most :data:`MAX_FRAME` bytes, at most :data:`MAX_BUFFERED` bytes
wait for a peer that does not read, and once a frame has begun the rest of it must arrive
within :data:`FRAME_DEADLINE_S`. Whoever breaks one of these gets a :class:`ControlError`
and is to be replaced: a channel is never used again after an error, because its framing
can no longer be trusted.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Final, Generic, TypeVar

import msgspec

from holdfast.balancer.core.messages import ToMaster, ToWorker
from holdfast.balancer.errors import ControlError
from holdfast.kernel import Duration, Size

CONTROL_FD: Final = "HOLDFAST_CONTROL_FD"
"""Environment variable that tells a worker the descriptor of its end."""
MAX_FRAME: Final = 16 * 1024 * 1024
"""About 100,000 backends in one ``Configure``."""
MAX_BUFFERED: Final = 32 * 1024 * 1024
"""Two frames of the largest size: a reload while the previous one is still unread."""
FRAME_DEADLINE_S: Final = 5.0

_HEADER: Final = struct.Struct(">I")

Incoming = TypeVar("Incoming")
Outgoing = TypeVar("Outgoing")


def _encode_unit(value: object) -> float | int:
    # msgspec encodes float and int, but not classes derived from them. Plain numbers are
    # exact, where the text of a Duration is rounded for people.
    if isinstance(value, Duration):
        return float(value)
    if isinstance(value, Size):
        return int(value)
    raise NotImplementedError(f"{type(value).__name__} has no place in a control message")


def _decode_unit(kind: type, value: object) -> object:
    if kind is Duration or kind is Size:
        if isinstance(value, str):
            return kind.parse(value)
        if isinstance(value, int | float):
            return kind(value)
    raise NotImplementedError(f"{kind.__name__} has no place in a control message")


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_encode_unit)


class ControlChannel(Generic[Incoming, Outgoing]):
    """One end of the channel. One task may :meth:`receive`; anyone may :meth:`post`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, incoming: object, *, peer: str
    ) -> None:
        """Use :func:`master_end` or :func:`worker_end`. ``peer`` names the other side in errors."""
        self._reader = reader
        self._writer = writer
        self._decoder: msgspec.msgpack.Decoder[Incoming] = msgspec.msgpack.Decoder(
            incoming,
            dec_hook=_decode_unit,
        )
        self._peer = peer

    def post(self, message: Outgoing) -> None:
        """Queue a message without waiting. Raises :class:`ControlError` if the peer is gone or does not read."""
        if self._writer.transport.is_closing():
            raise self._error("the channel is closed", "the peer is restarted by its supervisor")
        payload = _ENCODER.encode(message)
        if len(payload) > MAX_FRAME:
            raise self._error(f"a message of {len(payload)} bytes exceeds {MAX_FRAME}", "split the configuration")
        if self._writer.transport.get_write_buffer_size() + len(payload) > MAX_BUFFERED:
            raise self._error(f"more than {MAX_BUFFERED} bytes wait for a peer that does not read", "replace the peer")
        self._writer.write(_HEADER.pack(len(payload)) + payload)

    async def flush(self, timeout_s: float) -> None:
        """Wait until the peer's socket took most of what was posted. Raises :class:`ControlError` after the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._writer.drain()
        except TimeoutError as late:
            raise self._error(f"the peer did not read for {timeout_s:g} s", "replace the peer") from late
        except OSError as cut:
            raise self._error(f"the channel was cut ({cut})", "the peer is restarted by its supervisor") from cut

    async def receive(self) -> Incoming | None:
        """The next message; ``None`` once the peer closed its end.

        Waiting for a frame to begin has no deadline: silence is normal, and watching for a
        peer that hangs is the business of whoever asks it something.
        """
        try:
            first = await self._reader.read(1)
            if not first:
                return None
            async with asyncio.timeout(FRAME_DEADLINE_S):
                (size,) = _HEADER.unpack(first + await self._reader.readexactly(_HEADER.size - 1))
                if size > MAX_FRAME:
                    raise self._error(f"a frame of {size} bytes exceeds {MAX_FRAME}", "replace the peer")
                payload = await self._reader.readexactly(size)
        except TimeoutError as late:
            raise self._error(f"a frame was not complete after {FRAME_DEADLINE_S:g} s", "replace the peer") from late
        except asyncio.IncompleteReadError as cut:
            raise self._error("the channel was cut inside a frame", "replace the peer") from cut
        except OSError:
            # A peer that was killed with messages unread resets a socket pair; that is its end too.
            return None
        try:
            return self._decoder.decode(payload)
        except msgspec.MsgspecError as bad:
            raise self._error(f"not a message: {bad}", "run master and workers of one version") from bad

    def close(self) -> None:
        """Close this end; what was posted and not yet written is lost. May be called again."""
        self._writer.transport.abort()

    def _error(self, error: str, remedy: str) -> ControlError:
        return ControlError(error, where=f"control channel of {self._peer}", remedy=remedy)


async def master_end(sock: socket.socket, *, worker: int) -> ControlChannel[ToMaster, ToWorker]:
    """The master's end of ``sock``, which it takes over."""
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    return ControlChannel(reader, writer, ToMaster, peer=f"worker {worker}")


async def worker_end(fd: int | None = None) -> ControlChannel[ToWorker, ToMaster]:
    """The worker's end: descriptor ``fd``, or the one that :data:`CONTROL_FD` names. Raises :class:`ControlError`."""
    try:
        sock = socket.socket(fileno=int(os.environ[CONTROL_FD]) if fd is None else fd)
    except (KeyError, ValueError, OSError) as bad:
        raise ControlError(
            f"no usable descriptor ({bad})", where=CONTROL_FD, remedy="workers are started by the master, not by hand"
        ) from bad
    sock.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    return ControlChannel(reader, writer, ToWorker, peer="the master")
