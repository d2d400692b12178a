"""Subscribing, confirming and leaving by HTTP: ``/v1/status/subscribers``. No key is needed; everything is bounded.

What is opened by a GET changes nothing: programs that look into mails open every link in them. The page behind a link
has a button, and a mail program's own button posts (RFC 8058).
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, SkipValidation

from holdfast.netpulse.shell.status.subscribers import Subscribers

PATH: Final = "/v1/status/subscribers"
BODY_BYTES: Final = 4096
_TOKEN_CHARACTERS: Final = 100
_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{max-width:34rem;margin:10vh auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}"
    "button{padding:.5rem 1rem;font:inherit;font-weight:600}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

Asked = Request[Any, Any, Any]
List = NamedDependency[SkipValidation[Subscribers]]


class _Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str = ""
    target: str = ""


def subscribe_router(subscribers: Subscribers) -> Router:
    """Routes to include in the API's application; they need no authentication."""
    return Router(
        path=PATH,
        route_handlers=[subscribe, confirm_page, confirm, end_page, end],
        dependencies={"subscribers": Provide(lambda: subscribers, sync_to_thread=False)},
        request_max_body_size=BODY_BYTES,
        tags=["status page"],
    )


@post("/", status_code=202)
async def subscribe(request: Asked, subscribers: List) -> Response[Any]:
    """Ask to be told of updates: ``kind`` ``email`` or ``webhook``, and its ``target``; as a form or as JSON."""
    wish = await _wish(request)
    if wish is None:
        return _answer(request, 400, "That cannot be read", "Send a form or JSON with kind and target.")
    problem = await subscribers.ask(wish.kind, wish.target.strip())
    if problem is not None:
        return _answer(request, 422, "Not subscribed", f"{problem[0].upper()}{problem[1:]}.")
    return _answer(
        request, 202, "One more step", "If it is not on the list yet, a message is on its way there. Follow its link."
    )


@get("/confirm")
async def confirm_page(token: FromQuery[str] = "") -> Response[str]:
    """A page with the button that confirms."""
    return _button("confirm", token, "Get updates?", "Yes, tell me")


@post("/confirm", status_code=200)
async def confirm(request: Asked, subscribers: List, token: FromQuery[str] = "") -> Response[Any]:
    """Put the address of the link on the list."""
    if len(token) > _TOKEN_CHARACTERS or not await subscribers.confirm(token):
        return _answer(request, 404, "This link does not work", "It may be older than a day. Subscribe once more.")
    return _answer(request, 200, "Done", "You are told of every update from now on.")


@get("/end")
async def end_page(token: FromQuery[str] = "") -> Response[str]:
    """A page with the button that ends it."""
    return _button("end", token, "No more updates?", "Yes, end it")


@post("/end", status_code=200)
async def end(request: Asked, subscribers: List, token: FromQuery[str] = "") -> Response[Any]:
    """Take the address of the link off the list."""
    if len(token) > _TOKEN_CHARACTERS or not await subscribers.end(token):
        return _answer(request, 404, "This link does not work", "Copy the whole of it out of the message.")
    return _answer(request, 200, "Done", "You get no more updates.")


async def _wish(request: Asked) -> _Wish | None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    try:
        if kind == "application/json":
            return msgspec.json.decode(body, type=_Wish)
        fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=8))
    except (msgspec.MsgspecError, ValueError):
        return None
    return _Wish(kind=fields.get("kind", ""), target=fields.get("target", ""))


def _answer(request: Asked, status: int, title: str, text: str) -> Response[Any]:
    if "text/html" not in request.headers.get("accept", ""):
        body = {"status": status, "title": title, "detail": text}
        kind = "application/json" if status < 400 else "application/problem+json"
        return Response(msgspec.json.encode(body), status_code=status, media_type=kind, headers=_HEADERS)
    return _page(title, f"<p>{escape(text)}</p>", status)


def _button(action: str, token: str, title: str, text: str) -> Response[str]:
    where = escape(f"{action}?token={token[:_TOKEN_CHARACTERS]}", quote=True)
    return _page(title, f'<form method="post" action="{where}"><button>{escape(text)}</button></form>', 200)


def _page(title: str, body: str, status: int) -> Response[str]:
    name = escape(title)
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}</title><style>{_STYLE}</style></head><body><main><h1>{name}</h1>{body}</main></body></html>\n"
    )
    return Response(text, status_code=status, media_type="text/html", headers=_HEADERS)
