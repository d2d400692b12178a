"""Jobs report themselves: ``curl https://.../v1/heartbeats/TOKEN`` as their last line.

The token is the credential: no key is asked for. It is compared by its hash, so that the time which a wrong one takes
says nothing. GET, HEAD and POST all count, because what a job has at hand differs. A body is kept as detail.
"""

from __future__ import annotations

import re
from typing import Final

from litestar import Response
from litestar.enums import HttpMethod
from litestar.handlers import route
from litestar.params import FromPath

from holdfast.netpulse.shell.api.problems import ProblemError
from holdfast.netpulse.shell.api.service import Asking, Service, Svc

DETAIL: Final = 200
"""Characters that are kept of a body."""
BODY_BYTES: Final = 10_000
"""More is refused; the end of a log fits."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_\-]{16,128}")


@route("/v1/heartbeats/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD, HttpMethod.POST])
async def beat(request: Asking, service: Svc, token: FromPath[str]) -> Response[bytes]:
    """A job says that it ran."""
    return await _beat(request, service, token, failed=False)


@route("/v1/heartbeats/{token:str}/fail", http_method=[HttpMethod.GET, HttpMethod.HEAD, HttpMethod.POST])
async def beat_failed(request: Asking, service: Svc, token: FromPath[str]) -> Response[bytes]:
    """A job says that it went wrong: down at once, without waiting for the grace to pass."""
    return await _beat(request, service, token, failed=True)


async def _beat(request: Asking, service: Service, token: str, *, failed: bool) -> Response[bytes]:
    known = False
    if _TOKEN.fullmatch(token):
        service.beats.count(token)
        detail = printable(await request.body())
        known = await service.netpulse.beat(token, failed=failed, detail=detail)
    service.metrics.beat("unknown" if not known else "failed" if failed else "up")
    if not known:
        raise ProblemError("not-found", "no monitor has this token; copy it again from where the monitor was made")
    return Response(b"ok\n", status_code=200, media_type="text/plain")


def printable(body: bytes) -> str:
    """The last characters of what a job said, on one line."""
    text = body[-4 * DETAIL :].decode("utf-8", "replace")
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[-DETAIL:]
