"""Tools over HTTP: which there are, and a call of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, SkipValidation

from holdfast.gateway.core.tools import ARGUMENTS_BYTES, Result, ToolSpec
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.tools.broker import Broker
from holdfast.gateway.shell.tools.problems import EXCEPTION_HANDLERS
from holdfast.identity import Principal, Scope
from holdfast.web.decoding import decode_json

Who: TypeAlias = Callable[[Request[Any, Any, Any]], Awaitable[Principal]]
"""Whose request it is. Raises :class:`Refused` or a problem for one that nobody vouches for."""


class ToolBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool as it is listed."""

    name: str
    description: str
    kind: str
    scope: str
    timeout_s: float
    input: dict[str, Any]
    """JSON Schema of the arguments."""
    output: dict[str, Any] | None = None


class ToolsBody(msgspec.Struct, frozen=True):
    """Those that the key may use."""

    tools: list[ToolBody]


class CallBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call."""

    arguments: Annotated[dict[str, msgspec.Raw], msgspec.Meta(description="Of the tool, by its schema.")] = (
        msgspec.field(default_factory=dict)
    )


class FindingBody(msgspec.Struct, frozen=True):
    """What a guardrail saw in a result."""

    rule: str
    action: str
    score: float | None


class ResultBody(msgspec.Struct, frozen=True):
    """What a tool answered: a stranger's words, whatever they say."""

    result: msgspec.Raw
    """As the tool's JSON, or as a text."""
    is_error: bool
    findings: list[FindingBody]


_CALL: Final = msgspec.json.Decoder(CallBody)
_ENVELOPE_BYTES: Final = 1024
Tools: TypeAlias = NamedDependency[SkipValidation[Broker]]
Asker: TypeAlias = NamedDependency[SkipValidation[Principal]]


@get("/v1/tools")
async def list_tools(broker: Tools, caller: Asker) -> Response[bytes]:
    """Tools that this key may use."""
    require_use(caller)
    return answer(ToolsBody(tools=[_shown(spec) for spec in broker.usable(caller)]))


@post("/v1/tools/{name:str}/call", status_code=200)
async def call_tool(
    request: Request[Any, Any, Any], broker: Tools, caller: Asker, name: FromPath[str]
) -> Response[bytes]:
    """Call a tool and wait for its answer. A client that goes away cancels the call."""
    require_use(caller)
    body = await request.body()
    if len(body) > ARGUMENTS_BYTES + _ENVELOPE_BYTES:
        raise Refused("too_large", f"a call has at most {ARGUMENTS_BYTES} bytes")
    call = decode_json(_CALL, body or b"{}")
    result = await broker.call(caller, name, msgspec.json.encode(call.arguments).decode())
    return answer(_result(result))


def tool_router(broker: Broker, who: Who) -> Router:
    """The endpoints of tools."""
    return Router(
        path="/",
        route_handlers=[list_tools, call_tool],
        dependencies={
            "broker": Provide(lambda: broker, sync_to_thread=False),
            "caller": Provide(provider(who)),
        },
        exception_handlers=dict(EXCEPTION_HANDLERS),
    )


def provider(who: Who) -> Callable[[Request[Any, Any, Any]], Awaitable[Principal]]:
    """``who`` in the form that the framework reads."""

    async def caller(request: Request[Any, Any, Any]) -> Principal:
        return await who(request)

    return caller


def require_use(caller: Principal) -> None:
    """Raise :class:`Refused` unless the key may use the gateway."""
    if not caller.may(Scope.GATEWAY_USE):
        raise Refused("forbidden", "this key lacks the scope gateway:use; use one that has it")


def answer(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A body of JSON."""
    return Response(
        msgspec.json.encode(value), status_code=status, headers=headers or {}, media_type="application/json"
    )


def _shown(spec: ToolSpec) -> ToolBody:
    return ToolBody(
        name=spec.name,
        description=spec.description,
        kind=spec.kind,
        scope=spec.scope,
        timeout_s=spec.timeout_s,
        input=dict(spec.schema),
        output=None if spec.output is None else dict(spec.output),
    )


def _result(result: Result) -> ResultBody:
    text = result.text if result.is_json else msgspec.json.encode(result.text).decode()
    findings = [FindingBody(rule=each.rule, action=each.action, score=each.score) for each in result.findings]
    return ResultBody(result=msgspec.Raw(text.encode()), is_error=result.is_error, findings=findings)
