"""``holdfast drill``: run a failure drill, and compare the records of two runs."""

from __future__ import annotations

import json
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
    """Run a drill, write its evidence, and fail if one of its claims did not hold."""
    from rich.console import Console

    from holdfast.drills import render, run_drill
    from holdfast.evidence import load

    console = Console(stderr=True, highlight=False)

    def progress(text: str) -> None:
        if console.is_terminal:
            console.print(text, style="dim", markup=False)

    file = run_drill(name, quick=quick, seed=seed, out=out, progress=progress)
    record = load(file)
    if console.is_terminal:
        console.print(render(record))
    print(file)
    judged = [claim for claim in record.claims if claim.in_quick or not record.quick]
    raise typer.Exit(0 if all(claim.holds for claim in judged) else 1)


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
