"""``POST /v1/briefs``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.briefs.service import Briefs
from holdfast.gateway.shell.tools.api import Asker, Who, answer, provider, require_use
from holdfast.gateway.shell.tools.problems import EXCEPTION_HANDLERS
from holdfast.identity import Principal
from holdfast.web.decoding import decode_json

if TYPE_CHECKING:
    from holdfast.gateway.core.ports import Holder

BODY_BYTES: Final = 256 * 1024
Requirement: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class BriefBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a brief is wanted of."""

    requirements: Annotated[list[Requirement], msgspec.Meta(min_length=1, max_length=64)]
    title: Annotated[str, msgspec.Meta(max_length=200)] = ""
    model: Name | None = None
    """Words the sentences; ``briefs.model`` when absent."""


_BODY: Final = msgspec.json.Decoder(BriefBody)
Maker: TypeAlias = NamedDependency[SkipValidation[Briefs]]
Payer: TypeAlias = NamedDependency[SkipValidation[Any]]


@post("/v1/briefs", status_code=200)
async def make_brief(request: Request[Any, Any, Any], briefs: Maker, caller: Asker, payer: Payer) -> Response[bytes]:
    """Statements with their citations, and what the evidence does not say."""
    require_use(caller)
    body = await request.body()
    if len(body) > BODY_BYTES:
        raise Refused("too_large", f"a brief is asked for in at most {BODY_BYTES} bytes")
    asked = decode_json(_BODY, body)
    statements, gaps = await briefs.make(await payer(caller), asked.requirements, asked.model)
    return answer(
        {
            "title": asked.title,
            "statements": [
                {
                    "requirement": each.requirement,
                    "text": each.text,
                    "citations": [
                        {"source": one.source, "lines": [one.first, one.last], "quote": one.text}
                        for one in each.passages
                    ],
                    "confidence": each.confidence,
                }
                for each in statements
            ],
            "gaps": [{"requirement": each.requirement, "reason": each.reason} for each in gaps],
            "not_read": briefs.evidence.left_out[:100],
        }
    )


def brief_router(briefs: Briefs, who: Who, holder: Callable[[Principal], Awaitable[Holder]]) -> Router:
    """The endpoint of briefs; ``holder`` says who pays for a caller's wording."""
    return Router(
        path="/",
        route_handlers=[make_brief],
        dependencies={
            "briefs": Provide(lambda: briefs, sync_to_thread=False),
            "caller": Provide(provider(who)),
            "payer": Provide(lambda: holder, sync_to_thread=False),
        },
        exception_handlers=dict(EXCEPTION_HANDLERS),
    )
