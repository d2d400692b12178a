"""What holds for every request and every answer, whatever the page.

- A request that changes something must come from a page of ours: ``Sec-Fetch-Site`` or ``Origin``
  must not name another site. (``Origin`` is ``null`` for our own forms, because our pages send no
  referrer; the CSRF token of each form decides then, see :mod:`.sessions`.)
- Every answer carries the security headers; a page may load what this server serves, nothing else.
- A visitor is known by a cookie, made here for who has none and asks for a page.
- The demo signs in visitors on this machine: the connection, everybody who forwarded it, and the
  ``Host`` must be loopback. A name that somebody made resolve to 127.0.0.1 (DNS rebinding) is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from holdfast.console.sessions import Session, Sessions, is_cookie

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
THEMES: Final = ("light", "dark")
VISITOR: Final = "visitor"
"""Where handlers find the :class:`Visitor` in the state of a request."""
_THEME_AGE_S: Final = 400 * 86_400
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks."""

    cookie: str
    is_new: bool
    """The cookie was made for this request and goes out with the answer."""
    is_local: bool
    session: Session | None
    theme: str
    """``light`` or ``dark`` as chosen, or empty: as the system has it."""


class Cookies:
    """The cookies of the console; ``secure`` when browsers reach it over TLS."""

    def __init__(self, *, secure: bool) -> None:
        # The prefix lets browsers refuse a cookie of this name that did not come over TLS from this very host.
        self.name = "__Host-holdfast" if secure else "holdfast"
        self._tail = "Path=/; SameSite=Strict; Secure" if secure else "Path=/; SameSite=Strict"

    def session(self, value: str) -> str:
        """The field that gives a browser its session. It ends with the browser; the table ends it sooner."""
        return f"{self.name}={value}; HttpOnly; {self._tail}"

    def theme(self, theme: str) -> str:
        """The field that remembers a choice of colours, or forgets it. Our script may read and write it."""
        return f"theme={theme}; Max-Age={_THEME_AGE_S if theme else 0}; {self._tail}"


class Gate:
    """ASGI application around another that does what the module says."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        clock: Callable[[], float],
        cookies: Cookies,
        demo: Session | None,
    ) -> None:
        """``clock`` is monotonic seconds; ``demo`` is the session of visitors on this machine who have none."""
        self._app = app
        self._sessions = sessions
        self._clock = clock
        self._cookies = cookies
        self._demo = demo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request here, or hand it on."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        headers = _fields(scope["headers"])
        visitor = self._visitor(scope, headers)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                added = [(name, value) for name, value in _SECURITY_FIELDS if name not in own]
                if visitor.is_new and _is_page(message["headers"]) and b"set-cookie" not in own:
                    added.append((b"set-cookie", self._cookies.session(visitor.cookie).encode("ascii")))
                message["headers"] = [*message["headers"], *added]
            await send(message)

        if scope["method"] not in _SAFE_METHODS and not _is_of_this_site(headers):
            await _refuse(sending)
            return
        scope.setdefault("state", {})[VISITOR] = visitor
        await self._app(scope, receive, sending)

    def _visitor(self, scope: HTTPScope, headers: Mapping[str, str]) -> Visitor:
        cookies = dict(_cookies(headers.get("cookie", "")))
        cookie, theme = cookies.get(self._cookies.name, ""), cookies.get("theme", "")
        is_known = is_cookie(cookie)
        session = self._sessions.find(cookie, self._clock()) if is_known else None
        is_local = is_on_this_machine(scope["client"], headers)
        return Visitor(
            cookie=cookie if is_known else self._sessions.new_cookie(),
            is_new=not is_known,
            is_local=is_local,
            session=session or (self._demo if is_local else None),
            theme=theme if theme in THEMES else "",
        )


_SECURITY_FIELDS: Final = tuple((name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items())


_FORWARDED_FOR: Final = re.compile(
    r'(?:^|;)\s*for="?(\[[0-9a-fA-F:.]+\]|[0-9.]+)(?::[0-9]+)?"?\s*(?:;|$)', re.IGNORECASE
)
"""An address in an element of ``Forwarded`` (RFC 7239, section 4)."""


def is_on_this_machine(client: tuple[str, int] | None, headers: Mapping[str, str]) -> bool:
    """Whether the browser that asks runs here, whatever stands in between."""
    hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    forwarded = headers.get("forwarded", "")
    for element in filter(None, (part.strip() for part in forwarded.split(","))):
        named = _FORWARDED_FOR.search(element)
        hops.append(named[1] if named else "")  # one that does not say who asked could be anybody
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    return (
        client is not None
        and all(_is_loopback(hop) for hop in (client[0], *hops))
        and (host == "localhost" or _is_loopback(host))
    )


def _fields(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Fields by name; those that stand there twice in one, or only the last of those who forwarded would be seen."""
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _is_of_this_site(headers: Mapping[str, str]) -> bool:
    origin = headers.get("origin", "null")
    if origin != "null" and urlsplit(origin).netloc != headers.get("host"):
        return False
    return headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}


def _cookies(header: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in header.split(";"))
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _is_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in headers)


async def _refuse(send: Send) -> None:
    body = b"This request came from a page of another site. Open the page here and send the form from there.\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),  # what the client still sends of its body is not read
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
