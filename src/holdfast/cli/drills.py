"""``holdfast drill``: run a failure drill, and compare the records of two runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Failure drills: real processes, injected faults, recorded evidence.",
    no_args_is_help=True,
)


@app.command("list")
def list_all(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False) -> None:
    """List the drills."""
    from holdfast.drills import list_drills

    drills = list_drills()
    if as_json:
        print(json.dumps([{"name": drill.name, "title": drill.title} for drill in drills], indent=2))
        return
    for drill in drills:
        print(f"{drill.name:<16} {drill.title}")


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="A name that `holdfast drill list` shows.")],
    quick: Annotated[bool, typer.Option("--quick", help="Shorter and less certain: is everything in place?")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeat the chances of an earlier run.")] = None,
    out: Annotated[Path, typer.Option(help="Directory for the evidence.")] = Path("evidence"),
) -> None:
    """Run a drill and write its evidence."""
    from holdfast.drills import run_drill

    def progress(text: str) -> None:
        if sys.stderr.isatty():
            print(text, file=sys.stderr)

    print(run_drill(name, quick=quick, seed=seed, out=out, progress=progress))


@app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(help="Evidence file.")],
    after: Annotated[Path, typer.Argument(help="Evidence file.")],
) -> None:
    """Compare the metrics of two records of the same drill."""
    from holdfast.drills import compare as compare_records

    print(compare_records(before, after))
