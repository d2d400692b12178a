"""One request of one client, over all the attempts that it takes to answer it.

Phases::

    NEW -> QUEUED -> CONNECTING -> WAITING -> STREAMING -> DONE
             ^           |            |           |
             |           v            v           v
             +------- BACKOFF <- (failed attempt) TUNNEL -> DONE

Rules:

- Until the first byte of an answer went to the client, a failed attempt may be repeated, if the
  request allows it: always when nothing reached the backend, otherwise only idempotent methods;
  and only while the whole request body is still at hand.
- After a kept connection failed an exchange, it uses new ones only: the others may be as dead,
  and one of them after the other would use up its attempts.
- After that byte nothing is repeated: a backend that fails then takes the client's connection
  with it, so that half an answer never looks like a whole one.
- Every phase has an ``expires`` time. One sweep over all exchanges enforces them; there are no
  timers per request, which would cost more than the rest of this module.
- Whatever happens, an exchange gives back exactly once what it took: its place in the pool, its
  place at the backend, its upstream connection (:meth:`Exchange._settle`).
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from holdfast.http1 import BadMessage, valid_request_id, valid_traceparent
from holdfast.proxy.answers import FAILURES, answer_head
from holdfast.proxy.tunnel import Tunnel
from holdfast.proxy.upload import Upload
from holdfast.proxy.upstream import STALE_IDLE_S, UpstreamConnection
from holdfast.resilience import full_jitter, retry_after_s

if TYPE_CHECKING:
    from holdfast.http1 import Piece, Request, ResponseHead
    from holdfast.proxy.backend import Backend, Failure
    from holdfast.proxy.client import ClientConnection
    from holdfast.proxy.plan import Plan
    from holdfast.proxy.pool import Pool

NEW: Final = 0
QUEUED: Final = 1
BACKOFF: Final = 2
CONNECTING: Final = 3
WAITING: Final = 4
STREAMING: Final = 5
TUNNEL: Final = 6
DONE: Final = 7

_JOIN_BYTES: Final = 2048
"""Answers up to this size are copied behind their head; above, two buffers for one system call are cheaper."""


class Exchange:
    """See the module. ``number`` tells requests of this process apart in reports."""

    __slots__ = (
        "answer_sent",
        "answer_status",
        "answered_by",
        "attempt_began",
        "attempts",
        "backend",
        "bytes_out",
        "chunk_answer",
        "client",
        "connected_s",
        "connecting",
        "counted_failure",
        "deadline",
        "expires",
        "first_byte_s",
        "head",
        "keep",
        "number",
        "phase",
        "plan",
        "pool",
        "queued_s",
        "refusal",
        "request",
        "request_id",
        "started",
        "traceparent",
        "trail",
        "trial",
        "trials_failed",
        "tried",
        "tunnel",
        "upload",
        "upstream",
        "wants_fresh",
    )

    def __init__(
        self, client: ClientConnection, request: Request, plan: Plan, pool: Pool, number: int, now: float
    ) -> None:
        self.client = client
        self.request = request
        self.head = request.head
        self.plan = plan
        self.pool = pool
        self.number = number
        self.started = now
        # While the client is still sending, what counts is its body timeout.
        self.deadline = self.expires = now + pool.policy.timeout_s if request.complete else math.inf
        self.phase = NEW
        self.attempts = 0
        self.attempt_began = now
        self.tried: list[Backend] = []
        self.trail: list[tuple[str, str]] | None = None
        self.backend: Backend | None = None
        self.upstream: UpstreamConnection | None = None
        self.wants_fresh = False
        self.connecting: asyncio.Task[None] | None = None
        self.trial = False
        self.trials_failed = 0
        self.tunnel: Tunnel | None = None
        self.upload = Upload(request, pool.policy.replay_bytes) if plan.has_body else None
        self.keep = False
        self.answer_sent = False
        self.answer_status = 0
        self.answered_by: str | None = None
        self.chunk_answer = False
        self.counted_failure = False
        self.refusal = ""
        self.queued_s = self.connected_s = self.first_byte_s = 0.0
        self.bytes_out = 0
        owned = request.head.owned
        if owned and valid_request_id(received := owned.get(b"x-request-id", b"")):
            self.request_id = received
        else:
            self.request_id = b""
        if owned and valid_traceparent(received := owned.get(b"traceparent", b"")):
            self.traceparent = received
        else:
            self.traceparent = b""
        if not self.request_id or not self.traceparent:
            # 128 bits of trace id, 64 of span id; the request id is the trace id, so that either finds the other.
            fresh = b"%048x" % client.engine.rng.getrandbits(192)
            if not self.request_id:
                self.request_id = fresh[:32]
            if not self.traceparent:
                self.traceparent = b"00-%b-%b-01" % (fresh[:32], fresh[32:])

    # Admission and attempts.

    def start(self, now: float) -> None:
        """Enter the pool, or wait for a place, or be turned away."""
        pool = self.pool
        pool.budget.request(now)
        self.client.engine.active.add(self)
        if pool.in_flight < pool.limit and not pool.queue:
            pool.in_flight += 1
            self._attempt(now)
        else:
            self._wait(now)

    def admitted(self, now: float) -> bool:
        """A place came free. ``False`` when this exchange waits again."""
        self.queued_s += now - self.attempt_began
        self.pool.in_flight += 1
        self._attempt(now)
        return self.phase != QUEUED

    def _wait(self, now: float) -> None:
        """Queue for a place. The caller holds none."""
        pool = self.pool
        self.phase = QUEUED
        self.attempt_began = now
        self.expires = min(self.deadline, now + pool.policy.queue_timeout_s - self.queued_s)
        if not pool.queue.push(self, self.expires):
            self.shed("queue_full")

    def shed(self, reason: str) -> None:
        """Turn the request away: the pool has more than it can carry."""
        pool = self.pool
        pool.shed[reason] = pool.shed.get(reason, 0) + 1
        self.refusal = reason
        self._refuse(
            503,
            "overloaded",
            f"pool {pool.name} has no free place ({reason}: this worker has {pool.in_flight} requests in flight "
            f"and {len(pool.queue)} waiting)",
            retry_after_s(len(pool.queue), 0.0, self.client.engine.rng, longest_s=5),
        )

    def _attempt(self, now: float) -> None:
        """Make the next attempt. The caller holds a place in the pool."""
        pool, head = self.pool, self.head
        backend = pool.choose(
            self.tried, now, self.plan.key, repeatable=self._is_repeatable(), again=self.trail is not None
        )
        if backend is None:
            self._nowhere(now)
            return
        self.attempts += 1
        self.backend = backend
        self.attempt_began = now
        backend.in_flight += 1
        if backend.weight <= 0.0:
            self.trial = True
            backend.trials_in_flight += 1
        idle = backend.idle
        if (
            idle
            and not self.wants_fresh
            and (head.idempotent or (not backend.hangs_up and now - idle[-1].idle_since < STALE_IDLE_S))
        ):
            self._send(idle.pop(), now)
            return
        self.phase = CONNECTING
        self.expires = min(self.deadline, now + pool.policy.connect_timeout_s + 0.5)
        self.connecting = self.client.engine.loop.create_task(self._connect(backend))

    def _nowhere(self, now: float) -> None:
        """No backend can take the attempt now."""
        pool = self.pool
        if self.tried:
            # Every backend had its turn: the least bad of them may have it again, a little later.
            self.tried.clear()
            self.phase = BACKOFF
            pause_s = full_jitter(self.attempts - 1, self.client.engine.rng, base_s=0.025, cap_s=0.25)
            self.expires = min(self.deadline, now + pause_s)
        elif pool.has_capacity():
            pool.in_flight -= 1
            self._wait(now)
        else:
            pool.left(now)
            self._refuse(
                503,
                "no_backend",
                f"no backend of pool {pool.name} is in rotation; /admin/backends says why",
                retry_after_s(0, 0.0, self.client.engine.rng, longest_s=5),
            )

    async def _connect(self, backend: Backend) -> None:
        """Open a connection and send; runs as a task that :meth:`_settle` cancels."""
        limits = backend.response_limits
        try:
            upstream = await backend.connect(
                self.pool.policy.connect_timeout_s, lambda: UpstreamConnection(backend, limits)
            )
        except (OSError, UnicodeError) as error:  # includes TimeoutError, ssl.SSLError, and names that are none
            self.connecting = None
            self._attempt_failed("connect", self.client.engine.clock(), reached=False, detail=str(error))
            return
        self.connecting = None
        now = self.client.engine.clock()
        self.connected_s += now - self.attempt_began
        self._send(upstream, now)

    def _send(self, upstream: UpstreamConnection, now: float) -> None:
        """Send the head and what is there of the body."""
        head, plan, pool = self.head, self.plan, self.pool
        upstream.exchange = self
        upstream.uses += 1
        upstream.reader.expect(to_head=head.method == b"HEAD")
        self.upstream = upstream
        self.phase = WAITING
        self.expires = self._attempt_expires(now)
        wire = b"%b%b%bX-Request-Id: %b\r\ntraceparent: %b\r\n\r\n" % (
            plan.line,
            upstream.backend.host_line if pool.policy.host_from_backend else plan.host_line,
            plan.rest,
            self.request_id,
            self.traceparent,
        )
        upstream.transport.write(wire)
        if self.upload is not None:
            self.upload.begin(upstream)
            self.body_arrived()
            self.client.update_reading()  # stopped perhaps while there was nowhere to send to

    def _attempt_expires(self, now: float) -> float:
        """When an attempt sent now is given up. One that no other can follow may take all the time that is left."""
        policy = self.pool.policy
        if self._is_repeatable() and self.attempts - self.trials_failed < policy.attempts:
            return min(self.deadline, now + policy.per_try_timeout_s)
        return self.deadline

    def _is_repeatable(self) -> bool:
        """Whether the request may be sent again although a backend may have acted on it."""
        return self.head.idempotent and (self.upload is None or not self.upload.lost)

    def body_arrived(self) -> None:
        """Pass on what came of the request body; it waits here while there is no backend."""
        upload, upstream = self.upload, self.upstream
        if upload is None:
            return
        now = self.client.engine.clock()
        last = self.request.complete and self.deadline == math.inf
        if last:
            self.deadline = now + self.pool.policy.timeout_s
        if upstream is None or self.phase < WAITING:
            upload.hold()
            return
        upload.forward(upstream)
        if self.phase == WAITING:
            self.expires = (
                self._attempt_expires(now) if self.request.complete else now + self.pool.policy.per_try_timeout_s
            )
            if last:
                # How long an upload takes says nothing about the backend, nor about the age of the connection.
                self.attempt_began = upstream.idle_since = now

    @property
    def request_sent(self) -> bool:
        """Whether the backend has the whole request."""
        return self.upload is None or self.upload.sent

    @property
    def holds_body(self) -> bool:
        """Whether the client should not send more for now."""
        upload, upstream = self.upload, self.upstream
        if upstream is not None:
            return upstream.write_paused
        return upload is not None and upload.is_full

    def bytes_in(self) -> int:
        """Bytes of body, or of the tunnel, that came from the client."""
        return (0 if self.upload is None else self.upload.size) + (0 if self.tunnel is None else self.tunnel.received)

    # What the upstream connection reports.

    def answer_progress(self, upstream: UpstreamConnection) -> None:
        """Bytes of the answer were read."""
        reader = upstream.reader
        if self.phase == STREAMING:
            pieces = reader.pieces
            if pieces:
                reader.pieces = []
                self._relay(pieces)
            if reader.complete:
                self._finish(upstream)
            else:
                self.expires = self.client.engine.clock() + self.pool.policy.stall_timeout_s
            return
        if reader.interim:
            self._relay_interim(upstream)
        head = reader.head
        if head is None:
            return
        now = self.client.engine.clock()
        self.first_byte_s = now - self.attempt_began
        status = head.status
        if status >= 500 or status in self.pool.policy.retry_statuses:
            backend = upstream.backend
            if status in self.pool.policy.retry_statuses and self._may_retry(now, reached=True):
                upstream.release(now, keep=self.pool.policy.idle_connections, sent=self.request_sent)
                self._attempt_failed("status", now, reached=True, detail=str(status), decided=True)
                return
            self.counted_failure = True
            self._note(backend, "status")
        elif status == 101:
            self._start_tunnel(upstream, head)
            return
        self._begin_answer(upstream, head, now)

    def _relay_interim(self, upstream: UpstreamConnection) -> None:
        heads, upstream.reader.interim = upstream.reader.interim, []
        if self.upload is not None:
            self.upload.awaits_go = False
        if self.head.http10:
            return
        for head in heads:
            self.client.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (head.status, head.reason, head.block))

    def _begin_answer(self, upstream: UpstreamConnection, head: ResponseHead, now: float) -> None:
        """The commit point: from here on the client gets this answer or a closed connection."""
        client, reader = self.client, upstream.reader
        self.phase = STREAMING
        self.expires = now + self.pool.policy.stall_timeout_s
        self.answer_sent = True
        self.answer_status = head.status
        self.answered_by = upstream.backend.id
        request_head = self.head
        keep = request_head.keep_alive and self.request.complete and not client.engine.draining
        if request_head.http10 or head.until_close:
            wire = self._unusual_head(head, keep=keep)
        else:
            self.chunk_answer = head.chunked and request_head.method != b"HEAD"
            memo = head.memo
            wire = memo if isinstance(memo, bytes) else answer_head(head, chunked=head.chunked)
            head.memo = wire
            self.keep = keep
        pieces = reader.pieces
        reader.pieces = []
        tail = b"" if self.keep else b"Connection: close\r\n"
        if reader.complete and not self.chunk_answer:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self.bytes_out = len(body)
            if len(body) <= _JOIN_BYTES:
                client.transport.write(
                    b"".join((wire, b"X-Request-Id: ", self.request_id, b"\r\n", tail, b"\r\n", body))
                )
            else:
                client.transport.writelines((b"%bX-Request-Id: %b\r\n%b\r\n" % (wire, self.request_id, tail), body))
            self._finish(upstream)
            return
        client.transport.write(b"%bX-Request-Id: %b\r\n%b\r\n" % (wire, self.request_id, tail))
        if pieces:
            self._relay(pieces)
        if reader.complete:
            self._finish(upstream)
        elif client.write_paused:
            upstream.transport.pause_reading()

    def _unusual_head(self, head: ResponseHead, *, keep: bool) -> bytes:
        """The head for a client or a backend of HTTP/1.0, where the framing has to change."""
        if self.head.http10:
            bounded = head.length is not None or head.status in (204, 304) or self.head.method == b"HEAD"
            self.keep = keep and bounded
            return answer_head(head, chunked=False) + (b"Connection: keep-alive\r\n" if self.keep else b"")
        # The backend ends its body by closing; the client gets chunks, so that it can tell a whole body from half.
        self.chunk_answer = self.head.method != b"HEAD"
        self.keep = keep
        return answer_head(head, chunked=self.chunk_answer)

    def _relay(self, pieces: list[Piece]) -> None:
        transport = self.client.transport
        for piece in pieces:
            self.bytes_out += len(piece)
            if self.chunk_answer:
                transport.write(b"".join((b"%x\r\n" % len(piece), piece, b"\r\n")))
            else:
                transport.write(piece)

    def _finish(self, upstream: UpstreamConnection) -> None:
        """The answer is complete."""
        if self.chunk_answer:
            self.client.transport.write(b"0\r\n\r\n")
        engine = self.client.engine
        now = engine.clock()
        backend = upstream.backend
        self.upstream = None
        if upstream.uses > 1:
            backend.hangs_up = False
        if self.counted_failure:
            backend.failed(now, self.first_byte_s)
        else:
            backend.succeeded(now, self.first_byte_s)
            if self.trail is None and not self.trial:
                backend.outcomes.ok += 1
            else:
                self._note_success(backend)
        codes = backend.codes
        codes[self.answer_status] = codes.get(self.answer_status, 0) + 1
        if self.pool.gradients:
            self.pool.adapt(backend, self.first_byte_s, now, ok=not self.counted_failure)
        if self.trial:
            self._end_trial(backend)
        if self.client.write_paused and not upstream.lost:
            upstream.transport.resume_reading()
        upstream.release(now, keep=self.pool.policy.idle_connections, sent=self.request_sent)
        self.backend = None
        self._done(now)

    def answer_broken(self, upstream: UpstreamConnection, error: BadMessage) -> None:
        """The answer is not valid HTTP."""
        self._upstream_failed(upstream, "protocol", str(error))

    def upstream_lost(self, upstream: UpstreamConnection, exc: Exception | None) -> None:
        """The backend closed its connection."""
        if self.phase == TUNNEL:
            self._end_tunnel()
            return
        if self.phase == STREAMING and exc is None and upstream.reader.eof():
            self._finish(upstream)
            return
        reader = upstream.reader
        if (
            self.phase == WAITING
            and upstream.uses > 1
            and not reader.mid_message
            and (upstream.backend.hangs_up or self.attempt_began - upstream.idle_since >= STALE_IDLE_S)
            and self._is_repeatable()
        ):
            # Says nothing about the backend, so it costs neither budget nor reputation. The other idle
            # connections of that age are as dead as this one. It happens once to an exchange: what comes
            # next is a new connection, and that speaks for its backend.
            backend = upstream.backend
            backend.close_idle(self.attempt_began - STALE_IDLE_S)
            self.wants_fresh = True
            self._forget_attempt(backend)
            self.attempts -= 1
            self._attempt(self.client.engine.clock())
            return
        self._upstream_failed(upstream, "reset", str(exc or "closed"))

    def _upstream_failed(self, upstream: UpstreamConnection, failure: Failure, detail: str) -> None:
        now = self.client.engine.clock()
        upstream.close()
        if self.phase == WAITING:
            self._attempt_failed(failure, now, reached=True, detail=detail)
        else:
            self._cut(failure, detail, now)

    def _cut(self, failure: Failure, detail: str, now: float) -> None:
        """The backend failed in the middle of an answer: so does the client's connection."""
        backend = self.backend
        if backend is not None:
            if not self.counted_failure:
                self._note(backend, failure)
            backend.failed(now, now - self.attempt_began)
            backend.codes[self.answer_status] = backend.codes.get(self.answer_status, 0) + 1
            if self.answer_status < 500:
                backend.cut += 1
            self._drop_backend(backend)
        self.refusal = f"cut: {failure}: {detail}"
        self.keep = False
        self._done(now, cut=True)

    # Failure and repetition.

    def _may_retry(self, now: float, *, reached: bool) -> bool:
        """Whether another attempt may follow; spends the budget when it may."""
        # A trial is our question, not the client's: it costs the request none of its attempts.
        if self.attempts - self.trials_failed >= self.pool.policy.attempts:
            self.refusal = "attempts"
        elif now >= self.deadline:
            self.refusal = "deadline"
        elif reached and not self.head.idempotent:
            self.refusal = "not_idempotent"
        elif self.upload is not None and self.upload.lost:
            self.refusal = "body_not_kept"
        elif not self.pool.budget.try_spend(now):
            self.refusal = "budget"
            self.pool.budget_refusals += 1
        else:
            return True
        return False

    def _attempt_failed(
        self, failure: Failure, now: float, *, reached: bool, detail: str, decided: bool = False
    ) -> None:
        """Note a failed attempt; repeat it or answer for it. ``decided``: a retry is granted already."""
        backend = self.backend
        if backend is None:  # pragma: no cover - an attempt always has one
            return
        backend.failed(now, now - self.attempt_began)
        if self.pool.gradients:
            self.pool.adapt(backend, now - self.attempt_began, now, ok=False)
        self._note(backend, failure)
        if self.trail is None:
            self.trail = []
        self.trail.append((backend.id, f"{failure}: {detail}" if detail else failure))
        if self.upstream is not None and self.upstream.uses > 1 and failure != "status":
            self.wants_fresh = True
        self._drop_backend(backend)
        self.upstream = None
        self.tried.append(backend)
        if decided or self._may_retry(now, reached=reached):
            retries = self.pool.retries
            retries[failure] = retries.get(failure, 0) + 1
            self._attempt(now)
            return
        self.pool.left(now)
        status, reason, message = FAILURES[failure]
        self._refuse(status, reason, f"{message} ({self.attempts} attempt(s), then stopped by: {self.refusal})", None)

    def _note(self, backend: Backend, failure: Failure) -> None:
        """Report the failure of an attempt, at once."""
        (backend.trial_outcomes if self.trial else backend.outcomes).failed(failure, self.number)
        backend.failures[failure] = backend.failures.get(failure, 0) + 1
        if self.trial:
            self.trials_failed += 1
            backend.trials = 0  # until the master, who hears of this now, says otherwise
        self.client.engine.urgent()

    def _note_success(self, backend: Backend) -> None:
        """Report a success that somebody waits for: of a trial, or of a retry that settles whose fault it was."""
        outcomes = backend.trial_outcomes if self.trial else backend.outcomes
        if self.trail is None:
            outcomes.ok += 1
        else:
            outcomes.redeemed(self.number)
        self.client.engine.urgent()

    def _drop_backend(self, backend: Backend) -> None:
        if self.trial:
            self._end_trial(backend)
        self.backend = None

    def _end_trial(self, backend: Backend) -> None:
        self.trial = False
        backend.trials_in_flight -= 1

    def _forget_attempt(self, backend: Backend) -> None:
        """Undo an attempt that says nothing about its backend."""
        backend.abandoned()
        self._drop_backend(backend)
        self.upstream = None

    # Time and ends.

    def expired(self, now: float) -> None:
        """The time of the present phase is over."""
        phase = self.phase
        if phase == WAITING:
            upstream = self.upstream
            if upstream is not None:
                upload = self.upload
                if (
                    not self.request.complete
                    and not upstream.write_paused
                    and upload is not None
                    and not upload.awaits_go
                ):
                    # The client is the slow one, and has a timeout of its own.
                    self.expires = now + self.pool.policy.per_try_timeout_s
                    return
                upstream.close()
            self._attempt_failed("timeout", now, reached=True, detail=f"{now - self.attempt_began:.3f}s")
        elif phase == BACKOFF:
            if now >= self.deadline:
                self.pool.left(now)
                self._refuse(504, "deadline", "no backend answered within the time of the pool", None)
            else:
                self._attempt(now)
        elif phase == QUEUED:
            self.pool.queue.remove(self)
            self.queued_s += now - self.attempt_began
            self.shed("queue_timeout")
        elif phase == CONNECTING:
            if self.connecting is not None:
                self.connecting.cancel()
                self.connecting = None
            self._attempt_failed("connect", now, reached=False, detail="timeout")
        elif phase == STREAMING:
            if self.client.write_paused:
                # The client is the slow one, and has a timeout of its own.
                self.expires = now + self.pool.policy.stall_timeout_s
            elif self.upstream is not None:
                upstream = self.upstream
                upstream.close()
                self._cut("timeout", "silent in the middle of an answer", now)
        elif phase == TUNNEL:
            self._end_tunnel()

    def client_gone(self, reason: str = "client_gone") -> None:
        """The client closed or broke the rules: stop everything for it, blame nobody."""
        if self.phase == DONE:
            return
        now = self.client.engine.clock()
        if self.phase == QUEUED:
            self.pool.queue.remove(self)
            self.pool.in_flight += 1  # what _done gives back
        backend = self.backend
        self._settle()
        if not self.answer_sent:
            status = self.answer_status = self.answer_status or 499
            self.pool.codes[status] = self.pool.codes.get(status, 0) + 1
        elif backend is not None and self.tunnel is None:
            # Answered, but nobody read it to the end: that is no success, and no failure of the backend.
            backend.codes[self.answer_status] = backend.codes.get(self.answer_status, 0) + 1
            if self.answer_status < 500:
                backend.cut += 1
        self.refusal = reason
        self.keep = False
        self._done(now)

    def _settle(self) -> None:
        """Give back the backend and the connection of an attempt that ends without evidence."""
        if self.connecting is not None:
            self.connecting.cancel()
            self.connecting = None
        if self.upstream is not None:
            if self.tunnel is not None:
                self.tunnel.close()
            else:
                self.upstream.close()
            self.upstream = None
        if self.backend is not None:
            backend = self.backend
            if self.tunnel is not None:
                backend.succeeded(self.client.engine.clock(), self.first_byte_s)
            else:
                backend.abandoned()
            self._drop_backend(backend)

    def _refuse(self, status: int, reason: str, message: str, retry_after: int | None) -> None:
        """Answer for the pool. The caller has given back the place in it."""
        client = self.client
        engine = client.engine
        self.keep = self.head.keep_alive and self.request.complete and not engine.draining
        self.answer_status = status
        self.refusal = f"{reason}: {self.refusal}" if self.refusal else reason
        self.phase = DONE
        engine.active.discard(self)
        codes = self.pool.codes
        codes[status] = codes.get(status, 0) + 1
        now = engine.clock()
        self.pool.observe(now - self.started)
        client.send_error(
            status,
            reason,
            message,
            request_id=self.request_id,
            retry_after=retry_after,
            keep=self.keep,
            bodiless=self.head.method == b"HEAD",
        )
        engine.log(self, now)
        client.exchange_done(self)

    def _done(self, now: float, *, cut: bool = False) -> None:
        """Leave the pool, count, log, and let the client go on."""
        self.phase = DONE
        client = self.client
        engine = client.engine
        engine.active.discard(self)
        pool = self.pool
        if self.tunnel is None:  # hours of a WebSocket say nothing about latency
            pool.observe(now - self.started)
        if engine.log_sample is not None:
            engine.log(self, now)
        pool.left(now)
        if cut:
            client.abort()
        else:
            client.exchange_done(self)

    # Tunnels.

    def _start_tunnel(self, upstream: UpstreamConnection, head: ResponseHead) -> None:
        if self.head.upgrade is None or head.upgrade is None:
            self.answer_broken(upstream, BadMessage(502, "unasked_upgrade", "101 without a request for it"))
            return
        self.answer_sent = True
        self.answer_status = 101
        self.answered_by = upstream.backend.id
        self.phase = TUNNEL
        codes = upstream.backend.codes
        codes[101] = codes.get(101, 0) + 1
        self._note_success(upstream.backend)
        self.tunnel = Tunnel(self, upstream, head)
        self.client.update_reading()

    def _end_tunnel(self) -> None:
        self._settle()
        self.keep = False
        self._done(self.client.engine.clock())
