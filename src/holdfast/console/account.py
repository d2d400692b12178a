"""Signing in with an API key, signing out, and the choice of colours."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromQuery

from holdfast.console.context import Console, Shared, see
from holdfast.console.errors import ServiceProblem
from holdfast.console.forms import local_path, read_form, visitor_of
from holdfast.console.gate import THEMES
from holdfast.console.sessions import Session

_KEY_CHARACTERS: Final = 256
_SHOWN: Final = 11
"""Characters of a key that name it on the page: its prefix and the start of its id, nothing of the secret."""

Asked = Request[Any, Any, Any]


@get("/sign-in")
async def sign_in_page(
    request: Asked,
    console: Shared,
    next: FromQuery[str] = "/",  # noqa: A002
    why: FromQuery[str] = "",
) -> Response[str]:
    """The form for a key."""
    wrong = "The key that you had signed in with is not valid any more. Use another." if why == "key" else ""
    return _page(console, request, goes_to=local_path(next), wrong=wrong)


@post("/sign-in", status_code=200)
async def sign_in(request: Asked, console: Shared) -> Response[Any]:
    """Try the key at the service, and begin a session under a new name."""
    fields = await read_form(request, console.sessions)
    key, goes_to = fields.get("key", "").strip(), local_path(fields.get("next", "/"))
    if not key or len(key) > _KEY_CHARACTERS or not key.isascii() or not key.isprintable():
        return _page(
            console, request, goes_to=goes_to, wrong="That is not an API key. One looks like hf_...", status=422
        )
    try:
        await _try(console, key)
    except ServiceProblem as problem:
        if problem.status == 401:
            wrong = "The service does not know this key. It may be mistyped, revoked or expired."
        elif problem.status == 403:
            wrong = "This key may not read what the pages show. Use one with the role viewer, editor or admin."
        else:
            raise
        return _page(console, request, goes_to=goes_to, wrong=wrong, status=problem.status)
    console.sessions.end(visitor_of(request).cookie)
    cookie = console.sessions.begin(Session(key=key, name=name_of(key)), console.clock())
    return see(goes_to, set_cookie=console.cookies.session(cookie))


@post("/sign-out", status_code=200)
async def sign_out(request: Asked, console: Shared) -> Response[Any]:
    """End the session here; the browser gets a fresh name."""
    await read_form(request, console.sessions)
    console.sessions.end(visitor_of(request).cookie)
    return see("/sign-in", set_cookie=console.cookies.session(console.sessions.new_cookie()))


@post("/theme", status_code=200)
async def choose_theme(request: Asked, console: Shared) -> Response[Any]:
    """Remember light, dark, or as the system has it."""
    fields = await read_form(request, console.sessions)
    chosen = fields.get("theme", "")
    theme = chosen if chosen in THEMES else ""
    return see(local_path(fields.get("here", "/")), set_cookie=console.cookies.theme(theme))


async def _try(console: Console, key: str) -> None:
    """Use the key for something harmless. Raises :class:`ServiceProblem`."""
    if console.netpulse is not None and console.execution is None:
        await console.netpulse.summary(key)
    else:
        await console.api().jobs(key, limit=1)


def name_of(key: str) -> str:
    """What a page calls the holder of a key."""
    return f"{key[:_SHOWN]}…" if len(key) > 2 * _SHOWN else "API key"


def _page(console: Console, request: Asked, *, goes_to: str, wrong: str = "", status: int = 200) -> Response[str]:
    return console.page(request, "sign-in.html", title="Sign in", status=status, goes_to=goes_to, wrong=wrong)
