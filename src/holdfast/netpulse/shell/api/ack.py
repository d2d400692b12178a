"""The page behind the link in a message: one button, no login.

A GET changes nothing, because scanners of mail and previews of chats follow links. The page needs no script, loads
nothing, is not cached or indexed, and does not tell its address to where one goes next.
"""

from __future__ import annotations

from html import escape
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath

from holdfast.identity import Principal
from holdfast.netpulse.core.views import IncidentView
from holdfast.netpulse.errors import Conflict, NotFound
from holdfast.netpulse.shell.api.links import Acknowledgement, Expired
from holdfast.netpulse.shell.api.service import Service, Svc

_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
}
_STYLE: Final = """
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif }
body { max-width: 32rem; margin: 12vh auto; padding: 0 1rem }
button { font: inherit; padding: .75rem 1.5rem; width: 100%; min-height: 3rem; cursor: pointer }
p.quiet { opacity: .75 }
"""


@get("/ack/{token:str}")
async def show_acknowledgement(service: Svc, token: FromPath[str]) -> Response[bytes]:
    """What would be acknowledged, and the button for it."""
    allowed = service.links.read(token)
    if not isinstance(allowed, Acknowledgement):
        return _refused(allowed)
    try:
        view = await service.netpulse.incident(allowed.tenant or service.settings.tenant, allowed.incident)
    except NotFound:
        return _page(404, "This incident is gone", "It was removed after its time.")
    if view.state == "resolved":
        return _page(200, view.title, "It is over; there is nothing to acknowledge.")
    if view.acknowledged is not None:
        return _page(200, view.title, f"{view.acknowledged_by or 'Somebody'} has it already.")
    button = '<form method="post"><button>I have it</button></form>'
    return _page(200, view.title, f"State: {view.state}. Once somebody has it, nobody else is called.", button)


@post("/ack/{token:str}", status_code=200)
async def acknowledge_by_link(service: Svc, token: FromPath[str]) -> Response[bytes]:
    """Acknowledge, as the button does."""
    allowed = service.links.read(token)
    if not isinstance(allowed, Acknowledgement):
        return _refused(allowed)
    actor = f"link:{allowed.channel}"
    tenant = allowed.tenant or service.settings.tenant
    try:
        view = await service.netpulse.acknowledge(tenant, allowed.incident, actor=actor)
    except NotFound:
        return _page(404, "This incident is gone", "It was removed after its time.")
    except Conflict as error:
        return _page(409, "There is nothing to acknowledge", str(error))
    await _note(service, tenant, actor, view)
    return _page(200, view.title, "It is yours: escalation stops.")


async def _note(service: Service, tenant: str, actor: str, view: IncidentView) -> None:
    who = Principal(tenant=tenant, key_id=actor, scopes=frozenset())
    await service.note(who, "incident.acknowledge", view.id, {"by": "link"})


def _refused(found: Expired | None) -> Response[bytes]:
    if isinstance(found, Expired):
        return _page(410, "This link has expired", "Links are good for a week. Sign in to acknowledge.")
    return _page(404, "This is not a link of ours", "It may have been cut off; copy all of it from the message.")


def _page(status: int, title: str, text: str, more: str = "") -> Response[bytes]:
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f'<body><main><h1>{escape(title)}</h1><p class="quiet">{escape(text)}</p>{more}</main></body></html>'
    )
    return Response(page.encode(), status_code=status, headers=_HEADERS, media_type="text/html")
