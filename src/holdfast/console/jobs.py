"""The list of jobs and the page of one."""

from __future__ import annotations

from typing import Any, Final

from litestar import MediaType, Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery

from holdfast.console import wording
from holdfast.console.context import Shared, see, signed_in
from holdfast.console.forms import read_form

PAGE: Final = 25
SHOWN: Final = 128 * 1024
"""Characters of one stream that a page shows; the rest is a download. Browsers lay out text of this size at once."""
LONGEST_WAIT_S: Final = 20
STATUSES: Final = ("queued", "running", "finished", "dead")

Asked = Request[Any, Any, Any]


@get("/jobs")
async def jobs_page(
    request: Asked, console: Shared, status: FromQuery[str] = "", cursor: FromQuery[str] = ""
) -> Response[str]:
    """Jobs of the tenant, newest first."""
    session = signed_in(request)
    chosen = status if status in STATUSES else ""
    page = await console.api().jobs(session.key, status=chosen, cursor=cursor[:200], limit=PAGE)
    return console.page(
        request,
        "jobs.html",
        title="Jobs",
        jobs=page.jobs,
        next=page.next,
        statuses=STATUSES,
        chosen=chosen,
        is_first=not cursor,
    )


@get("/jobs/{id:str}")
async def job_page(request: Asked, console: Shared, id: FromPath[str], wait: FromQuery[int] = 0) -> Response[str]:
    """One job. ``wait``: not before it has ended, or so many seconds; for browsers without a script."""
    session = signed_in(request)
    api = console.api()
    job = await api.job(session.key, id, wait_s=max(0, min(wait, LONGEST_WAIT_S)))
    program = await api.program(session.key, id)
    limits = None if program is None else program.limits
    return console.page(
        request,
        "job.html",
        title=f"{wording.language(job.language)} job",
        job=job,
        program=program,
        badge=wording.badge(job),
        explanation=wording.explanation(job, limits),
        bars=wording.bars(job, limits),
        wait=LONGEST_WAIT_S,
        shown=SHOWN,
    )


@post("/jobs/{id:str}/cancel", status_code=200)
async def cancel(request: Asked, console: Shared, id: FromPath[str]) -> Response[Any]:
    """Stop a job."""
    session = signed_in(request)
    await read_form(request, console.sessions)
    await console.api().cancel(session.key, id)
    return see(f"/jobs/{id}")


@get("/jobs/{id:str}/output/{name:str}")
async def download(request: Asked, console: Shared, id: FromPath[str], name: FromPath[str]) -> Response[Any]:
    """A whole stream as a file, ``stdout.txt`` or ``stderr.txt``; never shown as a page."""
    session = signed_in(request)
    if name not in {"stdout.txt", "stderr.txt"}:
        raise NotFoundException
    job = await console.api().job(session.key, id)
    return Response(
        (job.stdout if name == "stdout.txt" else job.stderr) or "",
        media_type=MediaType.TEXT,
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )
