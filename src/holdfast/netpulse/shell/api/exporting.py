"""The endpoints of exports."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from holdfast.identity import Scope
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.api.bodies import ExportBody, ExportedBody
from holdfast.netpulse.shell.api.exports import Format
from holdfast.netpulse.shell.api.problems import ProblemError
from holdfast.netpulse.shell.api.service import Asking, Svc, answer, require
from holdfast.web.streams import streamed

PIECE: Final = 64 * 1024
_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_MEDIA: Final = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


@get("/v1/export")
async def make_export(
    request: Asking,
    service: Svc,
    month: Annotated[str, QueryParameter(max_length=7, description="Of UTC: `2026-11`.")],
    format: Annotated[Format, QueryParameter(description="How the files are written.")] = "csv",  # noqa: A002 - its name outside
) -> Response[ExportBody]:
    """Write a month to files: single checks as long as they are kept, and hours. Each has its SHA-256."""
    require(request.user, Scope.NETPULSE_ADMIN)
    if not _MONTH.fullmatch(month):
        raise ProblemError("invalid-request", "month: is none; write it like 2026-11", field="month")
    try:
        id, made = await service.exports.make(request.user.tenant, month, format)
    except Invalid as wrong:
        raise ProblemError("invalid-request", f"month: {wrong}", field="month") from None
    await service.note(request.user, "export.make", month, {"format": format})
    return answer(
        ExportBody(
            month=month,
            format=format,
            files=[
                ExportedBody(
                    name=each.name,
                    rows=each.rows,
                    size_bytes=each.size_bytes,
                    sha256=each.sha256,
                    path=f"/v1/export/{id}/{each.name}",
                )
                for each in made.files
            ],
        )
    )


@get("/v1/export/{id:str}/{name:str}")
async def read_export(request: Asking, service: Svc, id: FromPath[str], name: FromPath[str]) -> Response[Any]:
    """A file of an export."""
    require(request.user, Scope.NETPULSE_ADMIN)
    path, file = service.exports.find(request.user.tenant, id, name)
    headers = {
        "content-length": str(file.size_bytes),
        "content-disposition": f'attachment; filename="{file.name}"',
        "etag": f'"{file.sha256}"',
    }
    kind = _MEDIA[path.suffix.removeprefix(".")]
    return await streamed(request.scope, _pieces(path), media_type=kind, headers=headers)


async def _pieces(path: Path) -> AsyncGenerator[bytes, None]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        piece = await asyncio.to_thread(file.read, PIECE)
        while True:
            yield piece
            piece = await asyncio.to_thread(file.read, PIECE)
            if not piece:
                return
    finally:
        file.close()
