"""``holdfast exec``: run programs, look after the queue.

Standard output carries data and nothing else: the program's output, a table, or JSON. Everything about it goes to
standard error, and a moving status only to a terminal.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from holdfast.cli.shown import Shown, as_body, exit_code_of
from holdfast.kernel import Duration, HoldfastError

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast.cli.remote import Service

T = TypeVar("T")

app = typer.Typer(help="Run untrusted programs, and look after their queue.", no_args_is_help=True)


def _duration(given: str | Duration) -> Duration:
    try:
        return given if isinstance(given, Duration) else Duration.parse(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Url = Annotated[str | None, typer.Option("--url", metavar="URL", envvar="HOLDFAST_URL", help="The execution service.")]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", envvar="HOLDFAST_KEY", help="API key for it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")]

PAGE: Final = 100
"""Entries that are asked for at a time."""


class InputError(HoldfastError):
    """What was asked for cannot be."""

    exit_code = 2


@app.command("run")
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The program.")],
    language: Annotated[str | None, typer.Option(help="Its language; by default what the file's name says.")] = None,
    stdin: Annotated[str | None, typer.Option(metavar="FILE", help="Its input; - is ours. Empty by default.")] = None,
    arg: Annotated[list[str] | None, typer.Option(help="An argument for it; may be repeated.")] = None,
    limit: Annotated[
        Duration | None,
        typer.Option("--timeout", parser=_duration, metavar="DURATION", help="Longest it may run, like 10s."),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="In a sandbox of this machine, whatever is configured.")
    ] = False,
    degraded: Annotated[
        bool, typer.Option("--degraded", help="With --local: run even where limits are missing. For your own programs.")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with the program's exit code.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Run FILE on the service, or in a sandbox of this machine when no service is configured.

    Exits with 0 if the verdict is ``ok``, and with 1 otherwise.
    """
    import asyncio

    from holdfast.execution.shell.languages import known_languages
    from holdfast.execution.shell.languages.table import language_of, named

    languages = known_languages()
    wanted = language_of(file.name, languages) if language is None else language
    known = None if wanted is None else named(wanted, languages)
    if known is None:
        what = file if language is None else language
        raise InputError(f"{what}: no known language; give --language one of {', '.join(languages)}")
    data = _read(stdin)
    shown = Shown(quiet=as_json)
    if local or url is None:
        result = asyncio.run(_run_here(file, known.name, data, arg or [], limit, degraded=degraded, shown=shown))
    else:
        source = _source(file)
        result = _remote(
            url, key, lambda service: _run_there(service, source, file.name, known.name, data, arg or [], limit, shown)
        )
    shown.end(result)
    if as_json:
        print(json.dumps(result, indent=2))
    raise typer.Exit(exit_code_of(result, passed_on=exit_code))


@app.command("queue")
def queue(url: Url = None, key: Key = None, as_json: Json = False) -> None:
    """Show the queue in figures, and each tenant's part of it."""
    figures = _remote(url, key, lambda service: service.get("/v1/queue"))
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    tenants = figures.pop("tenants", [])
    _print(_table("queue", ["", ""], [[name.replace("_", " "), _figure(value)] for name, value in figures.items()]))
    columns = ["tenant", "queued", "running", "backlog_cpu_s", "used_today_cpu_s"]
    _print(_table("tenants", columns, [[_figure(tenant.get(name)) for name in columns] for tenant in tenants]))


@app.command("dead-letters")
def dead_letters(limit: Limit = 50, url: Url = None, key: Key = None, as_json: Json = False) -> None:
    """List jobs that were given up, newest first."""
    letters = _remote(url, key, lambda service: _pages(service, "/v1/dead-letters", "dead_letters", limit))
    if as_json:
        print(json.dumps({"dead_letters": letters}, indent=2))
        return
    columns = ["id", "language", "died_at", "attempts", "replayed_at", "reason"]
    _print(_table("dead letters", columns, [[_figure(letter.get(name)) for name in columns] for letter in letters]))


@app.command("replay")
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of dead jobs.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead jobs, or all that match.")] = False,
    language: Annotated[str | None, typer.Option(help="Those in this language.")] = None,
    reason: Annotated[str | None, typer.Option(help="Those that died of this.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Queue dead jobs again, all of those named or none of them."""
    matching = {name: value for name, value in (("language", language), ("reason", reason)) if value is not None}
    if bool(ids) == (everything or bool(matching)):
        raise InputError("which dead letters? Give their IDs; or --all, --language or --reason")
    body: dict[str, Any] = {"ids": ids} if ids else matching or {"all": True}
    answer = _remote(url, key, lambda service: service.post("/v1/dead-letters/replay", body))
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    for id in answer["replayed"]:
        print(id)
    print(f"{len(answer['replayed'])} jobs are queued again", file=sys.stderr)


@app.command("runtimes")
def runtimes(
    local: Annotated[bool, typer.Option("--local", help="Of this machine, whatever is configured.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """List languages: those of the service's workers, or of this machine when no service is configured."""
    import asyncio

    if local or url is None:
        from holdfast.execution.shell.languages import detect

        found = [
            {
                "language": runtime.name,
                "title": runtime.title,
                "version": runtime.version,
                "available": runtime.available,
                "missing_reason": runtime.missing_reason,
                "package": runtime.package,
            }
            for runtime in asyncio.run(detect())
        ]
    else:
        found = _remote(url, key, lambda service: service.get("/v1/runtimes"))["runtimes"]
    if as_json:
        print(json.dumps({"runtimes": found}, indent=2))
        return
    rows = [[str(one["title"]), str(one["language"]), str(one["version"] or "missing"), _remedy(one)] for one in found]
    _print(_table("languages", ["language", "name", "version", "remedy"], rows))


# ---------------------------------------------------------------- running a program


async def _run_here(
    file: Path, language: str, stdin: bytes, args: list[str], limit: Duration | None, *, degraded: bool, shown: Shown
) -> dict[str, Any]:
    from holdfast.execution.core.settings import WorkerSettings
    from holdfast.execution.shell.local import run_local
    from holdfast.execution.shell.sandbox import open_sandboxes

    shown.state("running in a sandbox of this machine")
    try:
        result = await run_local(
            file,
            language,
            stdin=stdin,
            args=args,
            wall_s=limit,
            open_sandboxes=open_sandboxes,
            on_output=shown.output,
            worker=WorkerSettings(tier="degraded" if degraded else "full"),
        )
    finally:
        shown.close()
    return as_body(result, encoding=shown.encoding)


async def _run_there(
    service: Service,
    source: bytes,
    name: str,
    language: str,
    stdin: bytes,
    args: list[str],
    limit: Duration | None,
    shown: Shown,
) -> dict[str, Any]:
    import asyncio

    body: dict[str, Any] = {
        "language": language,
        "files": [{"path": name, "content_base64": base64.b64encode(source).decode()}],
        "entry": name,
        "args": args,
    }
    if stdin:
        body["stdin_base64"] = base64.b64encode(stdin).decode()
    if limit is not None:
        body["limits"] = {"wall": float(limit)}
    id = (await service.post("/v1/jobs", body))["id"]
    try:
        async for kind, fields in service.events(id):
            if kind in ("stdout", "stderr"):
                shown.output(kind, fields["data"])  # type: ignore[arg-type]
            elif kind == "started":
                shown.again()
            shown.state(
                {"queued": "queued", "started": "running", "retry": "waiting for another attempt"}.get(kind, kind)
            )
        return await service.get(f"/v1/jobs/{id}", encoding=shown.encoding)
    except asyncio.CancelledError:  # Ctrl-C: nobody waits for the result any more
        await service.delete(f"/v1/jobs/{id}")
        raise
    finally:
        shown.close()


def _source(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}; give a file that can be read") from error


def _read(stdin: str | None) -> bytes:
    if stdin is None:
        return b""
    return sys.stdin.buffer.read() if stdin == "-" else _source(Path(stdin))


# ---------------------------------------------------------------- asking the service


def _remote(url: str | None, key: str | None, ask: Callable[[Service], Awaitable[T]]) -> T:
    import asyncio

    if url is None:
        raise InputError("no service is configured; give --url or HOLDFAST_URL, like http://127.0.0.1:8083")
    if not key:
        raise InputError("the service wants a key; give --key or HOLDFAST_KEY (`holdfast key create` makes one)")
    from holdfast.cli.remote import Service

    async def asked() -> T:
        async with Service(url, key) as service:
            return await ask(service)

    return asyncio.run(asked())


async def _pages(service: Service, path: str, name: str, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, str] = {}
    while len(found) < limit:
        page = await service.get(path, limit=str(min(PAGE, limit - len(found))), **query)
        found += page[name]
        if page["next"] is None:
            break
        query = {"cursor": page["next"]}
    return found


def _remedy(runtime: dict[str, Any]) -> str:
    if runtime["available"]:
        return ""
    reason = runtime.get("missing_reason")
    return f"{reason + '; ' if reason else ''}sudo apt-get install {runtime['package']}"


def _figure(value: object) -> str:
    return "" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)


def _table(title: str, columns: list[str], rows: list[list[str]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=any(columns))
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    Console(highlight=False).print(table)
