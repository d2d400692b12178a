"""What pages send back: urlencoded forms, bounded, with the token that shows whose page it was."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import Request

from holdfast.console.errors import Refused
from holdfast.console.gate import VISITOR, Visitor
from holdfast.console.sessions import Sessions

FORM_BYTES: Final = 4 * 2**20
"""Source and standard input in a form, where a byte may take three."""
_FIELDS: Final = 32
_PATH: Final = re.compile(r"/(?![/\\])[\w/?=&.%+-]{0,500}", re.ASCII)


def visitor_of(request: Request[Any, Any, Any]) -> Visitor:
    """Who asks; the gate has seen to it."""
    found: Visitor = request.scope["state"][VISITOR]
    return found


async def read_form(request: Request[Any, Any, Any], sessions: Sessions) -> dict[str, str]:
    """The fields of a form, the last one of a name. Raises :class:`Refused` when it is not one of ours."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Refused(415, "That is not a form", "use the form on the page")
    body = await request.body()
    try:
        fields = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS))
    except ValueError as error:
        raise Refused(400, "The form cannot be read", "use the form on the page") from error
    if not sessions.is_csrf_token(visitor_of(request).cookie, fields.pop("csrf", "")):
        raise Refused(403, "This form was made for another session", "go back, reload the page and send it again")
    return fields


def text_of(fields: dict[str, str], name: str) -> str:
    """A text area as it was typed: browsers send its line ends as CRLF."""
    return fields.get(name, "").replace("\r\n", "\n")


def local_path(text: str) -> str:
    """``text`` if it is a path on this server to go on to, otherwise the overview."""
    return text if _PATH.fullmatch(text) else "/"
