"""Requests that the gateway makes itself: steps of a run, an evaluation, the wording of a brief.

They take the same way as a client's: limits, guardrails, budgets, attempts and the ledger, all in the name of whom they
are made for. Only the socket is missing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import msgspec

from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.endpoints import endpoint_of
from holdfast.gateway.core.seen import Seen
from holdfast.gateway.core.wire.embeddings import read_openai_answer
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.plane.answering import Answering
from holdfast.gateway.shell.plane.ask import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.gateway.core.conversation import Answer, Chat
    from holdfast.gateway.core.ports import Holder
    from holdfast.gateway.shell.plane.call import Call
    from holdfast.gateway.shell.plane.engine import GatewayEngine
    from holdfast.gateway.shell.plane.gateway import Gateway
    from holdfast.gateway.shell.plane.making import Made

_CHAT = endpoint_of("/v1/chat/completions")
_EMBEDDINGS = endpoint_of("/v1/embeddings")


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


class InnerCall:
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
    dialect = gateway.dialects["openai"]
    body = msgspec.json.encode(dialect.write_request(chat, chat.model).body)

    def ask(call: Call) -> Ask:
        asked = Ask(call, _CHAT, dialect, body)
        asked.chat = replace(chat, stream=False)
        asked.rewritten = True
        asked.keeps_answer = True
        asked.stream = False
        return asked

    made, asked = await _made(gateway, holder, chat.model, ask)
    answer = made.answer
    if answer is None:
        raise Refused("upstream_failed", "the answer was not understood", retryable=True)
    return answer if asked.guard is None else asked.guard.answer(answer), made.cost_nano


async def embed(gateway: Gateway, holder: Holder, model: str, texts: Sequence[str]) -> list[Sequence[float]]:
    """A vector for each text. Raises :class:`Refused`, and ``ValueError`` for an answer that is none."""
    body = msgspec.json.encode({"model": model, "input": list(texts)})
    dialect = gateway.dialects["openai"]
    made, _ = await _made(gateway, holder, model, lambda call: Ask(call, _EMBEDDINGS, dialect, body))
    found = read_openai_answer(msgspec.json.decode(made.plain or made.attempt.body))
    return list(found.vectors)


async def _made(gateway: Gateway, holder: Holder, model: str, ask: Callable[[Call], Ask]) -> tuple[Made, Ask]:
    """The attempt that answered a request of our own. Raises :class:`Refused`."""
    engine = gateway.engine
    wall = gateway.wall()
    request_id = f"req_{engine.rng.getrandbits(128):032x}"
    seen = Seen(
        request=request_id,
        traceparent="",
        kind="chat",
        protocol="openai",
        path="inner",
        client="inner",
        model=model,
        holder=holder,
        wall=wall,
    )
    call = InnerCall(engine, request_id, seen)
    try:
        asked = ask(cast("Call", call))
        seen.kind = asked.endpoint.kind
        asked.holder = holder
        asked.wall = wall
        asked.told = Told(id=request_id.removeprefix("req_"), model=model, created=int(wall))
        gateway.asking.permit(asked)
        answering = Answering(gateway, asked, deadline=gateway.clock() + gateway.settings.timeouts.answer)
        call.on_gone = answering.give_up
        return await answering.first(), asked
    except Refused as refused:
        seen.reason, seen.message, seen.status = refused.reason, str(refused), refused.status
        raise
    finally:
        seen.status = seen.status or 200
        seen.duration_s = gateway.clock() - call.started
        call.handled = True
        if not call.pending:
            gateway.observe(seen)
