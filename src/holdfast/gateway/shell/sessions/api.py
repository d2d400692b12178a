"""Sessions and runs over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from hashlib import sha256
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, HeaderParameter, SkipValidation

from holdfast.gateway.core.guard.schema import mismatch
from holdfast.gateway.core.money import nano, usd
from holdfast.gateway.core.run_events import Ended
from holdfast.gateway.core.runs import Run, Task, fold
from holdfast.gateway.core.tools import schema_fault
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.sessions.service import Sessions
from holdfast.gateway.shell.sessions.store import Idempotency, Record, Session, Spec, Stored
from holdfast.gateway.shell.tools.api import Asker, Who, answer, provider, require_use
from holdfast.gateway.shell.tools.problems import EXCEPTION_HANDLERS, ProblemError
from holdfast.identity import Principal
from holdfast.web.decoding import decode_json
from holdfast.web.streams import streamed
from holdfast.web.times import timestamp

TEXT_CHARACTERS: Final = 200_000
METADATA_BYTES: Final = 4096
BODY_BYTES: Final = 1024 * 1024
MOST_TOOLS: Final = 128
MOST_STEPS: Final = 100

Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Words: TypeAlias = Annotated[str, msgspec.Meta(max_length=TEXT_CHARACTERS)]


class SessionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A session to be made."""

    model: Name | None = None
    """``sessions.model`` when absent."""
    system: Words = ""
    tools: Annotated[list[Name], msgspec.Meta(max_length=MOST_TOOLS)] | None = None
    """Tools that its runs may use; all that the key may when absent, none when empty."""
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class MessageBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message, which starts a run."""

    content: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARACTERS)]
    schema: dict[str, Any] | None = None
    """JSON Schema that the answer has to match; its check then."""
    plan: bool = True
    verify: bool = True
    max_steps: Annotated[int, msgspec.Meta(ge=1, le=MOST_STEPS)] | None = None
    """At most ``sessions.max_steps``."""
    max_usd: Annotated[float, msgspec.Meta(ge=0.0)] | None = None
    """At most ``sessions.max_usd``."""


_SESSION: Final = msgspec.json.Decoder(SessionBody)
_MESSAGE: Final = msgspec.json.Decoder(MessageBody)
Svc: TypeAlias = NamedDependency[SkipValidation[Sessions]]
LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]
IdempotencyKey = Annotated[str | None, HeaderParameter(name="Idempotency-Key")]


@post("/v1/sessions", status_code=201)
async def create_session(request: Request[Any, Any, Any], sessions: Svc, caller: Asker) -> Response[bytes]:
    """Make a session."""
    require_use(caller)
    body = decode_json(_SESSION, await _body(request) or b"{}")
    model = body.model or sessions.settings.sessions.model
    if model is None:
        raise _invalid("model", "missing, and sessions.model names none; name one of GET /v1/models")
    if len(msgspec.json.encode(body.metadata)) > METADATA_BYTES:
        raise _invalid("metadata", f"has more than {METADATA_BYTES} bytes")
    if body.tools is not None:
        usable = {spec.name for spec in sessions.broker.usable(caller)}
        if unknown := [name for name in body.tools if name not in usable]:
            raise _invalid("tools", f"{unknown[0]!r} is no tool that this key may use; see GET /v1/tools")
    tools = None if body.tools is None else tuple(dict.fromkeys(body.tools))
    spec = Spec(model=model, system=body.system, tools=tools, metadata=body.metadata)
    made = await sessions.store.create(caller.tenant, caller.key_id, spec, now=sessions.clock())
    return answer(_session(made, []), status=201, headers={"location": f"/v1/sessions/{made.id}"})


@get("/v1/sessions/{id:str}")
async def read_session(sessions: Svc, caller: Asker, id: FromPath[str]) -> Response[bytes]:
    """A session and its latest runs."""
    require_use(caller)
    found = await _found(sessions, caller, id)
    return answer(_session(found, await sessions.store.runs(caller.tenant, id)))


@post("/v1/sessions/{id:str}/messages", status_code=202)
async def send_message(
    request: Request[Any, Any, Any],
    sessions: Svc,
    caller: Asker,
    id: FromPath[str],
    idempotency_key: IdempotencyKey = None,
) -> Response[Any]:
    """Start a run. The same key with the same body is answered with the same run, as it is by then."""
    require_use(caller)
    if idempotency_key is not None and not (
        0 < len(idempotency_key) <= 255 and idempotency_key.isascii() and idempotency_key.isprintable()
    ):
        raise _invalid("Idempotency-Key", "use 1 to 255 visible ASCII characters; a UUID will do")
    raw = await _body(request)
    body = decode_json(_MESSAGE, raw)
    if body.schema is not None:
        _check_schema(body.schema)
    session = await _found(sessions, caller, id)
    # By what it says, not by how its JSON is spelled.
    digest = sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
    task = _task(sessions, caller, session, body)
    try:
        record, fresh = await sessions.store.add(
            session,
            await sessions.holder(caller),
            task,
            idempotency=idempotency_key,
            body=digest,
            now=sessions.clock(),
        )
    except Idempotency as conflict:
        raise ProblemError("idempotency-conflict", str(conflict), field="Idempotency-Key") from None
    headers = {"location": f"/v1/runs/{record.id}", **({} if fresh else {"idempotent-replayed": "true"})}
    return answer(await _run(sessions, record), status=202, headers=headers)


@get("/v1/runs/{id:str}")
async def read_run(sessions: Svc, caller: Asker, id: FromPath[str]) -> Response[bytes]:
    """A run as it stands."""
    require_use(caller)
    return answer(await _run(sessions, await _found_run(sessions, caller, id)))


@post("/v1/runs/{id:str}/cancel", status_code=202)
async def cancel_run(sessions: Svc, caller: Asker, id: FromPath[str]) -> Response[bytes]:
    """Ask for the end of a run: what is under way is cancelled. One that has ended stays as it is."""
    require_use(caller)
    record = await sessions.store.cancel(caller.tenant, id, now=sessions.clock())
    if record is None:
        raise Refused("not_found", f"there is no run {id[:64]!r}")
    return answer(await _run(sessions, record), status=202)


@get("/v1/runs/{id:str}/stream")
async def stream_run(
    request: Request[Any, Any, Any],
    sessions: Svc,
    caller: Asker,
    id: FromPath[str],
    last_event_id: LastEventId = None,
) -> Response[Any]:
    """What happened in a run and what happens, as server-sent events, until its end."""
    require_use(caller)
    after = 0
    if last_event_id is not None:
        if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 10):
            raise _invalid("Last-Event-ID", "is the id of no event of a run")
        after = int(last_event_id)
    record = await _found_run(sessions, caller, id)
    if record.ended and after >= record.events:
        return Response(b"", status_code=204)  # tells a browser not to come back
    return await streamed(request.scope, _stream(sessions, caller, record.id, after))


def session_router(sessions: Sessions, who: Who) -> Router:
    """The endpoints of sessions and runs."""
    return Router(
        path="/",
        route_handlers=[create_session, read_session, send_message, read_run, cancel_run, stream_run],
        dependencies={
            "sessions": Provide(lambda: sessions, sync_to_thread=False),
            "caller": Provide(provider(who)),
        },
        exception_handlers=dict(EXCEPTION_HANDLERS),
    )


async def _stream(sessions: Sessions, caller: Principal, id: str, after: int) -> AsyncGenerator[bytes, None]:
    with sessions.held.place(caller.tenant):
        async with aclosing(sessions.following.events(id, after=after)) as pages:
            yield b": run events\nretry: 2000\n\n"
            async for page in pages:
                yield b"".join(map(_frame, page)) if page else b": still here\n\n"


def _frame(stored: Stored) -> bytes:
    name = type(stored.event).__struct_config__.tag
    body = {"at": timestamp(stored.at), **msgspec.to_builtins(stored.event)}
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (stored.number, str(name).encode(), msgspec.json.encode(body))


def _task(sessions: Sessions, caller: Principal, session: Session, body: MessageBody) -> Task:
    settings = sessions.settings.sessions
    usable = [spec.name for spec in sessions.broker.usable(caller)]
    steps = settings.max_steps if body.max_steps is None else min(body.max_steps, settings.max_steps)
    money = settings.max_usd if body.max_usd is None else min(body.max_usd, settings.max_usd)
    return Task(
        text=body.content,
        model=session.model,
        system=session.system,
        tools=tuple(name for name in usable if session.tools is None or name in session.tools)[:MOST_TOOLS],
        schema=body.schema,
        plan=body.plan,
        verify=body.verify,
        max_steps=steps,
        max_nano=nano(money),
        deadline=sessions.clock() + float(settings.timeout),
    )


def _check_schema(schema: dict[str, Any]) -> None:
    """Raise :class:`ProblemError` for a schema that nothing can be checked by."""
    if (fault := schema_fault({**schema, "type": "object"})) is not None:
        raise _invalid("schema", fault)
    try:
        mismatch(schema, "{}")
    except Exception as error:  # noqa: BLE001 - whatever the library finds in what a client wrote
        raise _invalid("schema", f"is no JSON Schema ({type(error).__name__})") from None


async def _body(request: Request[Any, Any, Any]) -> bytes:
    body = await request.body()
    if len(body) > BODY_BYTES:
        raise Refused("too_large", f"a message has at most {BODY_BYTES} bytes")
    return body


async def _found(sessions: Sessions, caller: Principal, id: str) -> Session:
    found = await sessions.store.session(caller.tenant, id) if len(id) <= 64 else None
    if found is None:
        raise Refused("not_found", f"there is no session {id[:64]!r}")
    return found


async def _found_run(sessions: Sessions, caller: Principal, id: str) -> Record:
    found = await sessions.store.run(id, tenant=caller.tenant) if len(id) <= 64 else None
    if found is None:
        raise Refused("not_found", f"there is no run {id[:64]!r}")
    return found


def _session(session: Session, runs: list[Record]) -> dict[str, Any]:
    return {
        "id": session.id,
        "model": session.model,
        "system": session.system,
        "tools": session.tools,
        "metadata": session.metadata,
        "created_at": timestamp(session.created),
        "used_at": timestamp(session.used),
        "runs": [{"id": each.id, "state": each.state, "created_at": timestamp(each.created)} for each in runs],
    }


async def _run(sessions: Sessions, record: Record) -> dict[str, Any]:
    events: list[Stored] = []
    while page := await sessions.store.events(record.id, after=len(events)):
        events += page
    run: Run = fold([each.event for each in events])
    last = events[-1].event if events else None
    return {
        "id": record.id,
        "session": record.session,
        "state": run.state,
        "answer": run.answer,
        "verdict": run.verdict,
        "reason": last.reason if isinstance(last, Ended) else None,
        "message": last.message if isinstance(last, Ended) else None,
        "steps": run.steps,
        "max_steps": record.task.max_steps,
        "cost": usd(run.spent_nano),
        "unpriced_steps": run.unpriced,
        "max_cost": usd(record.task.max_nano),
        "cancel_requested": record.cancelled,
        "created_at": timestamp(record.created),
        "updated_at": timestamp(events[-1].at if events else record.updated),
        "links": {"self": f"/v1/runs/{record.id}", "stream": f"/v1/runs/{record.id}/stream"},
    }


def _invalid(field: str, what: str) -> ProblemError:
    return ProblemError("invalid-request", f"{field}: {what}", field=field)
