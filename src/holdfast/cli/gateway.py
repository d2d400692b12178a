"""``holdfast gateway``: tools of the AI gateway."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Tools of the AI gateway.", no_args_is_help=True)


@app.callback()
def tools() -> None:
    """Tools of the AI gateway."""


@app.command("eval")
def evaluate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An evaluation of gateway.evaluations.")],
    config: Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="Configuration file.")],
    model: Annotated[str, typer.Option(help="The model, or PROVIDER/MODEL for one deployment.")],
    against: Annotated[str | None, typer.Option(help="Another model, to be compared case by case.")] = None,
    url: Annotated[str | None, typer.Option(help="The gateway; gateway.listen of the file by default.")] = None,
    key: Annotated[str, typer.Option(envvar="HOLDFAST_KEY", help="API key; not needed where anonymous may ask.")] = "",
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Cases at once.")] = 4,
    min_score: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Exit with 1 below this mean.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Ask a model every case of an evaluation set, through the running gateway, and grade the answers."""
    import asyncio
    from dataclasses import asdict
    from random import Random

    from holdfast.app.config import load
    from holdfast.gateway.errors import Invalid
    from holdfast.gateway.shell.evaluations.running import run

    settings = load(str(config), ports=False).config.gateway
    if settings is None or name not in settings.evaluations:
        known = ", ".join(settings.evaluations) if settings is not None else ""
        raise Invalid(f"{config}: gateway.evaluations.{name}: no such evaluation; there are: {known or 'none'}")
    report = asyncio.run(
        run(
            name,
            settings.evaluations[name],
            model,
            url=url or f"http://{settings.listen}",
            key=key,
            rng=Random(0),  # the same scores, the same interval
            against=against,
            concurrency=concurrency,
        )
    )
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        for case in report.cases:
            print(f"{case.id}\t{'-' if case.score is None else format(case.score, '.3f')}\t{case.error}".rstrip())
        total = report.summary
        print(f"{model}: {total.mean:.3f} (95 %: {total.low:.3f} to {total.high:.3f}) over {total.count} cases")
        if report.difference is not None:
            gap = report.difference
            print(f"against {against}: {gap.mean:+.3f} (95 %: {gap.low:+.3f} to {gap.high:+.3f})")
    if min_score is not None and report.summary.mean < min_score:
        print(f"holdfast: {model} scores {report.summary.mean:.3f}, below {min_score:g}", file=sys.stderr)
        raise typer.Exit(1)
