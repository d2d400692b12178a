"""The two requests of workers, ``/internal/v1/sync`` and ``/internal/v1/report`` (see ``core.protocol``).

A worker is trusted to run programs, not to keep to the rules: every size and every form is
checked here, and whether it holds what it reports on is checked by the queue, by token.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec
from litestar.types import Receive

from holdfast.execution.core.job import Claim, Compiled, Limits, Result, Verdict
from holdfast.execution.core.ports import Finish, Given, Lease, OutputPiece, Presence, Returned
from holdfast.execution.core.protocol import (
    GivenBack,
    Held,
    Orders,
    Output,
    Receipt,
    Report,
    Sync,
    WireCompiled,
    WireFile,
    WireJob,
    WireLimits,
    WireResult,
)
from holdfast.execution.shell.api.ids import is_job_id
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.execution.shell.api.service import Service
from holdfast.identity import Principal
from holdfast.web.exchange import Answer, Head
from holdfast.web.reading import ClientGone

LONGEST_WAIT_S: Final = 30.0
SYNC_BYTES: Final = 256 * 1024
REPORT_BYTES: Final = 128 * 2**20
"""Two results with all the output that the ceilings allow by default, on every slot of a small worker."""
MOST: Final = 1024
"""Entries of one kind in a message; also the most slots of a worker."""
OUTPUT_PIECE: Final = 256 * 1024
TEXT: Final = 4096
NAME: Final = 128
MSGPACK: Final = b"application/msgpack"
_GIVE_AGAIN_S: Final = 5.0
"""A held poll looks by itself this often: it also tells the queue that the worker is alive."""

T = TypeVar("T")
_VERDICTS: Final = frozenset(verdict.value for verdict in Verdict)
_sync = msgspec.msgpack.Decoder(Sync)
_report = msgspec.msgpack.Decoder(Report)
_encoder = msgspec.msgpack.Encoder()


class SyncEndpoint:
    """``POST /internal/v1/sync``."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._compile_limits = _wire_limits(_limits(service))
        self._held: dict[tuple[str, str], asyncio.Future[None]] = {}

    async def __call__(self, _: Principal, __: Head, body: bytes, receive: Receive) -> Answer:
        """Orders for a worker; held until there are some, its time is over, or it asks anew."""
        message = _decoded(_sync, body)
        check_sync(message)
        loop = asyncio.get_running_loop()
        replaced: asyncio.Future[None] = loop.create_future()
        name = message.worker, message.epoch
        before = self._held.get(name)
        if before is not None and not before.done():
            before.set_result(None)
        self._held[name] = replaced
        # Nothing may be given to a worker that is no longer there: it would be run only after a lease has run out.
        gone = asyncio.create_task(_disconnected(receive), name="worker gone")
        try:
            return await self._orders(message, gone, replaced)
        finally:
            await _ended(gone)
            if self._held.get(name) is replaced:
                del self._held[name]

    async def _orders(self, message: Sync, gone: asyncio.Task[None], replaced: asyncio.Future[None]) -> Answer:
        service = self._service
        loop = asyncio.get_running_loop()
        until = loop.time() + min(message.wait_s, LONGEST_WAIT_S)
        presence = Presence(
            worker=message.worker,
            epoch=message.epoch,
            slots=message.slots,
            free=message.free,
            languages=message.languages,
            tier=message.tier,
            held=_leases(message.held),
        )
        while not service.stopping.done():
            given = await service.queue.give(presence, now=service.clock())
            if not service.live.keys() >= message.languages.keys():
                service.live |= message.languages
            if gone.done() or replaced.done():
                await self._give_back(message.worker, given.claims)
                break
            if given.claims or given.kill or given.lost or loop.time() >= until:
                return self._answer(given)
            # A worker that is frozen or cut off does not hang up. Leases are renewed by who speaks, not by who is
            # waited for; else its jobs would be given on only after this poll, and a whole lease after that.
            presence = replace(presence, held=())
            patience = max(0.0, min(_GIVE_AGAIN_S, until - loop.time()))
            work = asyncio.create_task(service.queue.wait_for_work(deadline_s=patience, seen=given.seen), name="work")
            try:
                await asyncio.wait((work, gone, replaced, service.stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _ended(work)
            if gone.done() or replaced.done():
                break
        if gone.done():
            raise ClientGone
        return self._answer(Given())

    async def _give_back(self, worker: str, claims: Sequence[Claim]) -> None:
        """Claims for a worker that has gone meanwhile; else they would wait for their leases to run out."""
        if claims:
            returned = [
                Returned(id=claim.id, token=claim.token, reason="the worker was gone", counts=False) for claim in claims
            ]
            await self._service.queue.report(
                worker, held=(), output=(), finished=(), returned=returned, now=self._service.clock()
            )

    def _answer(self, given: Given) -> Answer:
        service = self._service
        for claim in given.claims:
            service.metrics.waited(claim.queued_ms / 1000)
        orders = Orders(
            jobs=tuple(_wire_job(claim, self._compile_limits) for claim in given.claims),
            kill=_named(given.kill),
            lost=_named(given.lost),
        )
        return Answer(200, _encoder.encode(orders), media_type=MSGPACK)


class ReportEndpoint:
    """``POST /internal/v1/report``."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, _: Principal, __: Head, body: bytes, receive: Receive) -> Answer:
        """Take what a worker did; the receipt comes after the commit."""
        message = _decoded(_report, body)
        check_report(message, most_output=int(self._service.settings.ceilings.output))
        finished = [_finish(each) for each in message.results]
        given = await self._service.queue.report(
            message.worker,
            held=_leases(message.held),
            output=[_piece(each) for each in message.output],
            finished=finished,
            returned=[_returned(each) for each in message.given_back],
            now=self._service.clock(),
        )
        if finished:
            self._service.job_ended()
        refused = {(lease.id, lease.token) for lease in given.lost}
        for each in finished:
            if (each.id, each.token) not in refused:
                self._service.metrics.finished(each.result.verdict)
        receipt = Receipt(lost=_named(given.lost), kill=_named(given.kill))
        return Answer(200, _encoder.encode(receipt), media_type=MSGPACK)


def check_sync(message: Sync) -> None:
    """Sizes and forms. Raises :class:`ProblemError`."""
    _check_name("worker", message.worker)
    _check_name("epoch", message.epoch)
    _require(0 < message.slots <= MOST, "slots", f"must be from 1 to {MOST}")
    _require(0 <= message.free <= message.slots, "free", "must be from 0 to slots")
    _require(0 <= message.wait_s < math.inf, "wait_s", "must be 0 or more")
    _require(len(message.languages) <= MOST, "languages", f"must be at most {MOST}")
    for name, version in message.languages.items():
        _require(0 < len(name) <= 32 and len(version) <= TEXT, "languages", "has a name or a version that is too long")
    _check_name("tier", message.tier)
    _check_held(message.held)


def check_report(message: Report, *, most_output: int) -> None:
    """Sizes and forms. Raises :class:`ProblemError`."""
    _check_name("worker", message.worker)
    _check_name("epoch", message.epoch)
    _check_held(message.held)
    for kind, entries in (("results", message.results), ("given_back", message.given_back)):
        _require(len(entries) <= MOST, kind, f"must be at most {MOST}")
        _check_claims(kind, entries)
    _require(len(message.output) <= 16 * MOST, "output", f"must be at most {16 * MOST} pieces")
    _check_claims("output", message.output)
    for piece in message.output:
        _require(piece.seq >= 0, "output", "has a negative seq")
        _require(len(piece.data) <= OUTPUT_PIECE, "output", f"has a piece of more than {OUTPUT_PIECE} bytes")
    for result in message.results:
        _check_result(result, most_output)
    for back in message.given_back:
        _require(len(back.reason) <= TEXT, "given_back", f"has a reason of more than {TEXT} characters")


def _check_result(result: WireResult, most_output: int) -> None:
    _require(result.verdict in _VERDICTS, "results", f"has an unknown verdict {result.verdict[:40]!r}")
    _require(len(result.stdout) + len(result.stderr) <= most_output, "results", "has more output than is allowed")
    _require(len(result.message) <= TEXT, "results", f"has a message of more than {TEXT} characters")
    _check_figures(result)
    if result.compiled is not None:
        size = len(result.compiled.stdout) + len(result.compiled.stderr)
        _require(size <= most_output, "results", "has more output of the compiler than is allowed")
        _check_figures(result.compiled)


def _check_figures(of: WireResult | WireCompiled) -> None:
    for name in ("cpu_ms", "wall_ms", "memory_bytes"):
        _require(0 <= getattr(of, name) < 2**53, "results", f"has an impossible {name}")
    for name in ("exit_code", "signal"):
        value = getattr(of, name)
        _require(value is None or 0 <= value < 2**31, "results", f"has an impossible {name}")


def _check_held(held: Sequence[Held]) -> None:
    _require(len(held) <= MOST, "held", f"must be at most {MOST}")
    _check_claims("held", held)


def _check_claims(kind: str, entries: Iterable[Held | Output | WireResult | GivenBack]) -> None:
    for entry in entries:
        _require(is_job_id(entry.id) and 0 < entry.token < 2**53, kind, "names no job and token that there can be")


def _check_name(field: str, value: str) -> None:
    fine = 0 < len(value) <= NAME and value.isascii() and value.isprintable()
    _require(fine, field, f"must be 1 to {NAME} printable ASCII characters")


def _require(fine: bool, field: str, message: str) -> None:
    if not fine:
        raise ProblemError("invalid-request", f"{field}: {message}", field=field)


def _decoded(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise ProblemError("malformed-request", f"the body is not the message that is expected: {wrong}") from None


async def _disconnected(receive: Receive) -> None:
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            return


async def _ended(task: asyncio.Task[None]) -> None:
    """The task is over; what it failed with is raised."""
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled():
        task.result()


def _limits(service: Service) -> Limits:
    asked = service.settings.compile_limits
    return Limits(
        wall_s=float(asked.wall),
        cpu_s=float(asked.cpu),
        memory_bytes=int(asked.memory),
        output_bytes=int(asked.output),
        processes=asked.processes,
    )


def _wire_limits(limits: Limits) -> WireLimits:
    return WireLimits(
        wall_s=limits.wall_s,
        cpu_s=limits.cpu_s,
        memory_bytes=limits.memory_bytes,
        output_bytes=limits.output_bytes,
        processes=limits.processes,
    )


def _wire_job(claim: Claim, compile_limits: WireLimits) -> WireJob:
    program = claim.program
    return WireJob(
        id=claim.id,
        tenant=claim.tenant,
        token=claim.token,
        attempt=claim.attempt,
        language=program.language,
        files=tuple(WireFile(path=file.path, data=file.data) for file in program.files),
        entry=program.entry,
        limits=_wire_limits(program.limits),
        compile_limits=compile_limits,
        stdin=program.stdin,
        args=program.args,
        env=dict(program.env),
        deadline=claim.deadline,
    )


def _leases(held: Iterable[Held]) -> tuple[Lease, ...]:
    return tuple(Lease(id=each.id, token=each.token) for each in held)


def _named(leases: Iterable[Lease]) -> tuple[Held, ...]:
    return tuple(Held(id=each.id, token=each.token) for each in leases)


def _piece(output: Output) -> OutputPiece:
    return OutputPiece(id=output.id, token=output.token, seq=output.seq, stream=output.stream, data=output.data)


def _returned(back: GivenBack) -> Returned:
    return Returned(id=back.id, token=back.token, reason=back.reason, counts=back.counts)


def _finish(wire: WireResult) -> Finish:
    result = Result(
        verdict=Verdict(wire.verdict),
        exit_code=wire.exit_code,
        signal=wire.signal,
        stdout=wire.stdout,
        stderr=wire.stderr,
        stdout_truncated=wire.stdout_truncated,
        stderr_truncated=wire.stderr_truncated,
        compiled=None if wire.compiled is None else _compiled(wire.compiled),
        cpu_ms=wire.cpu_ms,
        wall_ms=wire.wall_ms,
        memory_bytes=wire.memory_bytes,
        message=wire.message,
    )
    return Finish(id=wire.id, token=wire.token, result=result)


def _compiled(wire: WireCompiled) -> Compiled:
    return Compiled(
        exit_code=wire.exit_code,
        signal=wire.signal,
        stdout=wire.stdout,
        stderr=wire.stderr,
        truncated=wire.truncated,
        cpu_ms=wire.cpu_ms,
        wall_ms=wire.wall_ms,
        memory_bytes=wire.memory_bytes,
        cached=wire.cached,
    )
