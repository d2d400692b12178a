"""The page that runs code: a form, and the way from there to a job."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromQuery

from holdfast.console import samples
from holdfast.console.context import Console, Shared, see, signed_in
from holdfast.console.errors import ServiceProblem
from holdfast.console.execution import ExecutionApi, Program, Runtime, Submission
from holdfast.console.forms import read_form, text_of
from holdfast.console.wording import language as language_name
from holdfast.console.wording import retry_after
from holdfast.kernel import Duration, Size

FIRST: Final = ("python", "cpp", "javascript")
"""Languages that the form begins with, the first of them that is there."""
LIMITS: Final = {
    "wall": "Wall time",
    "cpu": "CPU time",
    "memory": "Memory",
    "output": "Output",
    "processes": "Processes",
}
_ATTEMPT: Final = re.compile(r"[0-9a-f]{32}")

Asked = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What stands in the form."""

    language: str = ""
    source: str = ""
    stdin: str = ""
    args: str = ""
    """As in a shell: quotes hold words together."""
    limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What the service had against it."""

    title: str
    detail: str
    field: str = ""
    retry: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit that can be asked for, in the form that the service reads back."""

    name: str
    label: str
    default: str
    most: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the service has for the form."""

    runtimes: tuple[Runtime, ...]
    limits: tuple[Limit, ...]


@get("/code")
async def run_page(
    request: Asked,
    console: Shared,
    language: FromQuery[str] = "",
    job: FromQuery[str] = "",
) -> Response[str]:
    """The form: with a sample, or with the program of an earlier ``job``."""
    session = signed_in(request)
    api = console.api()
    offer = await _offer(api, session.key)
    if job and (program := await api.program(session.key, job)) is not None:
        return _page(console, request, offer, _again(program))
    offered = [runtime.language for runtime in offer.runtimes if runtime.available]
    wanted = [name for name in (language, *FIRST) if name in offered] or offered or [""]
    filled = Filled(language=wanted[0], source=samples.SAMPLES.get(wanted[0], ""), stdin=samples.STDIN)
    return _page(console, request, offer, filled)


@post("/code", status_code=200)
async def run(request: Asked, console: Shared) -> Response[Any]:
    """Queue the program and go to its job; what the service refuses comes back with the reason."""
    session = signed_in(request)
    fields = await read_form(request, console.sessions)
    filled = Filled(
        language=fields.get("language", ""),
        source=text_of(fields, "source"),
        stdin=text_of(fields, "stdin"),
        args=fields.get("args", ""),
        limits={name: value for name in LIMITS if (value := fields.get(name, "").strip())},
    )
    attempt = fields.get("attempt", "")
    api = console.api()
    try:
        submission = _submission(filled)
        # The form's own number: sent twice, by an impatient click or on reloading, it is still one job.
        key = attempt if _ATTEMPT.fullmatch(attempt) else secrets.token_hex(16)
        accepted = await api.submit(session.key, submission, idempotency_key=f"console-{key}")
    except ValueError as error:
        notice = Notice(title="The arguments cannot be read", detail=f"{error}: close every quote.", field="args")
        return _page(console, request, await _offer(api, session.key), filled, notice, status=422)
    except ServiceProblem as problem:
        if problem.status not in {400, 409, 413, 422, 429, 503}:
            raise
        notice = Notice(
            title=problem.title,
            detail=problem.detail,
            field=problem.field or "",
            retry=retry_after(problem.retry_after_s),
        )
        headers = {} if problem.retry_after_s is None else {"retry-after": str(int(problem.retry_after_s) + 1)}
        offer = await _offer(api, session.key)
        return _page(console, request, offer, filled, notice, status=problem.status, headers=headers)
    return see(f"/jobs/{accepted.id}")


async def _offer(api: ExecutionApi, key: str) -> Offer:
    runtimes, quotas = await asyncio.gather(api.runtimes(key), api.quotas(key))
    limits = (
        Limit(name=name, label=label, default=_limit(name, quotas.limits), most=_limit(name, quotas.ceilings))
        for name, label in LIMITS.items()
    )
    return Offer(runtimes=runtimes, limits=tuple(limits))


def _limit(name: str, values: Mapping[str, float]) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if name in {"wall", "cpu"}:
        return str(Duration(value))
    return str(Size(value)) if name in {"memory", "output"} else str(int(value))


def _submission(filled: Filled) -> Submission:
    """What the form asks for. Raises ``ValueError`` for arguments with an open quote."""
    limits: dict[str, str | int] = {
        name: int(value) if name == "processes" and value.isascii() and value.isdigit() else value
        for name, value in filled.limits.items()
    }
    return Submission(
        language=filled.language,
        source=filled.source,
        stdin=filled.stdin,
        args=tuple(shlex.split(filled.args)),
        limits=limits,
    )


def _again(program: Program) -> Filled:
    """The form as it was; of several files the one that is started."""
    entry = next((file for file in program.files if file.path == program.entry), None)
    return Filled(
        language=program.language,
        source=(entry.content if entry is not None else None) or "",
        stdin=program.stdin or "",
        args=shlex.join(program.args),
    )


def _page(
    console: Console,
    request: Asked,
    offer: Offer,
    filled: Filled,
    notice: Notice | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response[str]:
    by_name = sorted(offer.runtimes, key=lambda runtime: language_name(runtime.language).lower())
    return console.page(
        request,
        "run.html",
        title="Run code",
        status=status,
        headers=headers,
        offered=[runtime for runtime in by_name if runtime.available],
        missing=[runtime for runtime in by_name if not runtime.available],
        limits=offer.limits,
        samples=samples.SAMPLES,
        filled=filled,
        notice=notice,
        attempt=secrets.token_hex(16),
    )
