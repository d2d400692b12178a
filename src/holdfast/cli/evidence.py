"""``holdfast evidence``: are the records sound, do they describe the code as it is, and run one again."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from holdfast.evidence import Standing

app = typer.Typer(help="Records of drills: status, verification, repetition.", no_args_is_help=True)

_SHOWN: Final = 3
"""Changed inputs that are named; the rest is counted."""
Directory = Annotated[Path, typer.Option("--evidence", metavar="DIR", help="Directory of the records.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.callback()
def archive() -> None:
    """Records of drills: status, verification, repetition."""


@app.command()
def status(
    directory: Directory = Path("evidence"),
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for a stale record, too.")] = False,
    as_json: Json = False,
) -> None:
    """The newest full record of each drill: sound, current, claims. Exits with 1 when one is missing or unsound."""
    from holdfast.drills import format_value, list_drills
    from holdfast.evidence import project_root, standings

    found = standings(directory, [drill.name for drill in list_drills()], project_root())
    if as_json:
        print(json.dumps([_json(one) for one in found], indent=2))
    else:
        now = dt.datetime.now(dt.UTC)
        for one in found:
            print(_line(one, now))
            for claim in one.record.failed_claims() if one.record else ():
                value = format_value(claim.value, "")
                print(f"{'':<18} FAILS    {claim.claim}: {value} is not {claim.comparison} {claim.bound:g}")
    good = all(one.current if strict else one.sound for one in found)
    raise typer.Exit(0 if good else 1)


@app.command()
def verify(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Records; all of the directory without.")
    ] = None,
    directory: Directory = Path("evidence"),
) -> None:
    """Compute every metric and every verdict again from the samples. Exits with 1 when a record says anything else."""
    from holdfast.evidence import EvidenceError, load

    chosen = files or sorted(directory.glob("*/*.json"))
    if not chosen:
        print(f"{directory}: no record; write one with 'holdfast drill run'", file=sys.stderr)
        raise typer.Exit(1)
    sound = True
    for path in chosen:
        try:
            record = load(path)
        except EvidenceError as error:
            sound = False
            print(f"{path}: {error}", file=sys.stderr)
            continue
        control = len(record.control.metrics) if record.control is not None else 0
        sealed = "sealed" if record.seal else "from before there were seals"
        print(f"{path}: {len(record.metrics) + control} metrics and {len(record.claims)} claims hold good; {sealed}")
    raise typer.Exit(0 if sound else 1)


@app.command()
def rerun(
    name: Annotated[str, typer.Argument(metavar="DRILL", help="A drill that has a record.")],
    quick: Annotated[bool, typer.Option("--quick", help="Seconds instead of minutes: is everything in place?")] = False,
    directory: Directory = Path("evidence"),
    out: Annotated[Path | None, typer.Option(help="Directory for the new record; that of the old one without.")] = None,
) -> None:
    """Run a drill again with the seed of its record and compare. Exits with 1 when a claim does not hold."""
    from rich.console import Console

    from holdfast.cli.drills import run_and_show
    from holdfast.drills import render_comparison
    from holdfast.evidence import compare, load, project_root, standing

    before = standing(directory, name, project_root())
    if before.record is None:
        print(f"{name}: {before.fault}; write one with 'holdfast drill run {name}'", file=sys.stderr)
        raise typer.Exit(1)
    file = run_and_show(name, quick=quick, seed=before.record.seed, out=out or directory)
    after = load(file)
    Console(highlight=False).print(render_comparison(compare(before.record, after)))
    raise typer.Exit(1 if after.failed_claims() else 0)


def age(started: dt.datetime, now: dt.datetime) -> str:
    """How long ago, in the largest unit of which there are two: ``90 min``, ``47 h``, ``3 d``."""
    minutes = max(0, int((now - started).total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"


def _line(one: Standing, now: dt.datetime) -> str:
    record = one.record
    if record is None:
        return f"{one.drill:<18} UNSOUND  {one.fault}" if one.path else f"{one.drill:<18} MISSING  {_write(one.drill)}"
    failed = len(record.failed_claims())
    claims = f"{len(record.claims) - failed} of {len(record.claims)} claims hold"
    commit = f"{(record.commit or 'no commit')[:8]}{' and changes' if record.dirty else ''}"
    made = f"{record.id}, {age(record.started, now)} old, {commit}"
    if not one.stale:
        return f"{one.drill:<18} current  {made}, {claims}"
    more = f" and {len(one.stale) - _SHOWN} more" if len(one.stale) > _SHOWN else ""
    return f"{one.drill:<18} stale    {made}, {claims}; changed since: {', '.join(one.stale[:_SHOWN])}{more}"


def _write(drill: str) -> str:
    return f"no full record; write one with 'holdfast drill run {drill}'"


def _json(one: Standing) -> dict[str, Any]:
    record = one.record
    return {
        "drill": one.drill,
        "file": None if one.path is None else str(one.path),
        "sound": one.sound,
        "current": one.current,
        "fault": one.fault or None,
        "stale": list(one.stale),
        "id": record and record.id,
        "commit": record and record.commit,
        "started": record and record.started.isoformat(),
        "sealed": bool(record and record.seal),
        "claims": None if record is None else len(record.claims),
        "failed": None if record is None else [claim.claim for claim in record.failed_claims()],
    }
