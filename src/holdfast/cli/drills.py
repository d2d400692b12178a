"""``holdfast drill``: run a failure drill, report what its record says, and compare the records of two runs."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from holdfast.cli.evidence import age

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from holdfast.evidence import Standing

app = typer.Typer(
    help="Failure drills: real processes, injected faults, recorded evidence.",
    no_args_is_help=True,
)


@app.command("list")
def list_all(
    directory: Annotated[Path, typer.Option("--evidence", metavar="DIR", help="Directory of the records.")] = Path(
        "evidence"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """List the drills, and how old and how current the last full record of each is."""
    from holdfast.drills import list_drills
    from holdfast.evidence import project_root, standing

    root = project_root()
    found = [(drill, standing(directory, drill.name, root)) for drill in list_drills()]
    if as_json:
        print(json.dumps([{"name": drill.name, "title": drill.title, "record": _last(one)} for drill, one in found]))
        return
    now = dt.datetime.now(dt.UTC)
    for drill, one in found:
        print(f"{drill.name:<16} {_state(one, now):<16} {drill.title}")


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="A name that `holdfast drill list` shows.")],
    quick: Annotated[bool, typer.Option("--quick", help="Shorter and less certain: is everything in place?")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeat the chances of an earlier run.")] = None,
    out: Annotated[Path, typer.Option(help="Directory for the evidence.")] = Path("evidence"),
) -> None:
    """Run a drill, write its evidence, and fail if one of its claims did not hold."""
    from holdfast.evidence import load

    record = load(run_and_show(name, quick=quick, seed=seed, out=out))
    raise typer.Exit(1 if record.failed_claims() else 0)


def run_and_show(name: str, *, quick: bool, seed: int | None, out: Path) -> Path:
    """Run a drill; progress and result go to a terminal, the path of the record to the output."""
    from rich.console import Console

    from holdfast.drills import render, run_drill
    from holdfast.evidence import load

    console = Console(stderr=True, highlight=False)
    with Phases(console) as phases:
        file = run_drill(name, quick=quick, seed=seed, out=out, progress=phases.begin)
    if console.is_terminal:
        console.print(render(load(file)))
    print(file)
    return file


class Phases:
    """What a drill is doing, with the time that it has taken; each phase stays on the screen when it is over.

    Silent where there is no terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._current: TaskID | None = None

    def __enter__(self) -> Self:
        """Begin to show them."""
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        if self._console.is_terminal:
            columns = (
                SpinnerColumn(finished_text="\N{CHECK MARK}"),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
            )
            self._progress = Progress(*columns, console=self._console, refresh_per_second=4)
            self._progress.start()
        return self

    def begin(self, phase: str) -> None:
        """The last phase is over, and this one begins."""
        from rich.markup import escape

        if self._progress is not None:
            self._finish()
            self._current = self._progress.add_task(escape(phase), total=1)

    def __exit__(self, *_: object) -> None:
        """The last phase is over."""
        if self._progress is not None:
            self._finish()
            self._progress.stop()

    def _finish(self) -> None:
        if self._progress is not None and self._current is not None:
            self._progress.update(self._current, completed=1)


@app.command("report")
def report(
    which: Annotated[
        str | None, typer.Argument(metavar="[DRILL|FILE]", help="A drill, for its last record, or a record.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.html", help="Write a page instead.")
    ] = None,
    directory: Annotated[Path, typer.Option("--evidence", metavar="DIR", help="Directory of the records.")] = Path(
        "evidence"
    ),
) -> None:
    """Show a record, or write it as a self-contained page with charts. Without a name: the newest of all."""
    from rich.console import Console

    from holdfast.drills import UnknownDrillError, render, render_page
    from holdfast.evidence import load, newest, project_root, stale_inputs

    path: Path | None
    if which is None:
        path = max(directory.glob("*/*.json"), key=lambda file: file.name, default=None)
    else:
        path = Path(which) if which.endswith(".json") else newest(directory, which)
    if path is None:
        raise UnknownDrillError(
            f"{directory}: no full record{f' of {which}' if which else ''}; write one with 'holdfast drill run'"
        )
    record = load(path)
    stale = stale_inputs(record, project_root())
    if output is not None:
        output.write_text(render_page(record, stale=stale), encoding="utf-8")
        print(output)
        return
    Console(highlight=False).print(render(record))
    if stale:
        print(f"stale: {len(stale)} of the files that it ran on have changed since, {stale[0]} first", file=sys.stderr)


def _state(one: Standing, now: dt.datetime) -> str:
    if one.record is None:
        return "unsound" if one.path else "no record"
    return f"{'current' if one.current else 'stale'}, {age(one.record.started, now)}"


def _last(one: Standing) -> dict[str, object] | None:
    if one.record is None:
        return None
    return {"id": one.record.id, "started": one.record.started.isoformat(), "current": one.current}


@app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(help="Evidence file.")],
    after: Annotated[Path, typer.Argument(help="Evidence file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Compare the metrics of two records of the same drill."""
    import msgspec
    from rich.console import Console

    from holdfast.drills import compare as compare_records
    from holdfast.drills import render_comparison

    comparison = compare_records(before, after)
    if as_json:
        print(msgspec.json.encode(comparison).decode())
    else:
        Console(highlight=False).print(render_comparison(comparison))
