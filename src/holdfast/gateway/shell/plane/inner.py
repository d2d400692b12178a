"""Requests that the gateway makes itself: steps of a run, an evaluation, the wording of a brief.

They take the same way as a client's: limits, guardrails, budgets, attempts and the ledger, all in the name of whom they
are made for. Only the socket is missing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import msgspec

from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.endpoints import endpoint_of
from holdfast.gateway.core.seen import Seen
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.plane.answering import Answering
from holdfast.gateway.shell.plane.ask import Ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.gateway.core.conversation import Answer, Chat
    from holdfast.gateway.core.ports import Holder
    from holdfast.gateway.shell.plane.call import Call
    from holdfast.gateway.shell.plane.engine import GatewayEngine
    from holdfast.gateway.shell.plane.gateway import Gateway

_ENDPOINT = endpoint_of("/v1/chat/completions")


class _Nobody:
    """Stands where a client's connection would: always there, never slow."""

    __slots__ = ("gateway",)

    write_paused = False
    secure = False
    address = "inner"

    def __init__(self, engine: GatewayEngine) -> None:
        self.gateway = engine

    def update_reading(self) -> None:
        """Nothing is read."""


class _InnerCall:
    """What the plane asks of a call, without one."""

    answer_sent = False
    gone = False
    done = False
    traceparent = ""
    bytes_in = 0
    bytes_out = 0
    answer_status = 200

    def __init__(self, engine: GatewayEngine, request_id: str, seen: Seen) -> None:
        self.client = _Nobody(engine)
        self.request_id = request_id
        self.seen = seen
        self.started = engine.clock()
        self.pending = 0
        self.handled = False
        self.on_gone: Callable[[], None] | None = None

    def field(self, name: bytes) -> str:
        """There are no fields."""
        return ""


async def complete(gateway: Gateway, holder: Holder, chat: Chat) -> tuple[Answer, int | None]:
    """A whole answer, and what it cost in nano-dollars (``None``: nobody knows). Raises :class:`Refused`."""
    engine = gateway.engine
    wall = gateway.wall()
    request_id = f"req_{engine.rng.getrandbits(128):032x}"
    seen = Seen(
        request=request_id,
        traceparent="",
        kind="chat",
        protocol=chat.protocol,
        path="inner",
        client="inner",
        model=chat.model,
        holder=holder,
        wall=wall,
    )
    call = _InnerCall(engine, request_id, seen)
    dialect = gateway.dialects["openai"]
    try:
        return await _answer(gateway, cast("Call", call), holder, chat, dialect, wall)
    except Refused as refused:
        seen.reason, seen.message, seen.status = refused.reason, str(refused), refused.status
        raise
    except asyncio.CancelledError:
        if call.on_gone is not None:
            call.on_gone()
        raise
    finally:
        seen.status = seen.status or 200
        seen.duration_s = gateway.clock() - call.started
        call.handled = True
        if not call.pending:
            gateway.observe(seen)


async def _answer(
    gateway: Gateway, call: Call, holder: Holder, chat: Chat, dialect: Any, wall: float
) -> tuple[Answer, int | None]:
    body = msgspec.json.encode(dialect.write_request(chat, chat.model).body)
    ask = Ask(call, _ENDPOINT, dialect, body)
    ask.chat = chat
    ask.rewritten = True
    ask.keeps_answer = True
    ask.stream = False
    ask.holder = holder
    ask.wall = wall
    ask.told = Told(id=call.request_id.removeprefix("req_"), model=chat.model, created=int(wall))
    gateway.asking.permit(ask)
    answering = Answering(gateway, ask, deadline=gateway.clock() + gateway.settings.timeouts.answer)
    call.on_gone = answering.give_up
    made = await answering.first()
    answer = made.answer
    if answer is None:
        raise Refused("upstream_failed", "the answer was not understood", retryable=True)
    if ask.guard is not None:
        answer = ask.guard.answer(answer)
    return answer, made.cost_nano
