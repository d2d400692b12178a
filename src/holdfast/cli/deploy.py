"""``holdfast deploy``: where each workload goes and why, what it costs, its templates, and how to move over."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="Place services on AWS: fit, cost, templates, cut-over.", no_args_is_help=True)
cutover_app = typer.Typer(help="Move a name to a new target, each step with its way back.", no_args_is_help=True)
app.add_typer(cutover_app, name="cutover")

File = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="holdfast.yaml or workloads.yaml; the demo's without."),
]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Workloads; all without.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Day = Annotated[str | None, typer.Option("--at", metavar="DATE", help="Decide as on this day, YYYY-MM-DD; today.")]
WhatIf = Annotated[
    list[str] | None,
    typer.Option("--what-if", metavar="KEY=VALUE", help="Change a need, fact or figure first; may be repeated."),
]
Records = Annotated[
    Path | None, typer.Option("--evidence", metavar="DIR", help="Records of drills, for footprints; ./evidence.")
]
FactsFile = Annotated[Path | None, typer.Option("--facts", metavar="FILE", help="Facts instead of the packaged ones.")]
PricesFile = Annotated[
    Path | None, typer.Option("--prices", metavar="FILE", help="Prices instead of the packaged ones.")
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Directory to write to.")]


@app.callback()
def planner() -> None:
    """Place services on AWS: fit, cost, templates, cut-over."""


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _say(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


@app.command()
def fit(
    names: Names = None,
    config: File = None,
    explain: Annotated[bool, typer.Option("--explain", help="Every candidate, every reason, every source.")] = False,
    what_if: WhatIf = None,
    at: Day = None,
    evidence: Records = None,
    facts_file: FactsFile = None,
    prices: PricesFile = None,
    as_json: Json = False,
) -> None:
    """Where each workload goes, and what that hangs on. Exits with 1 when nothing fits one of them."""
    from holdfast.cli.deploy_fit import answer_json, answer_text
    from holdfast.cli.deploy_given import Given

    given = Given(config, at=at, evidence=evidence, facts=facts_file, prices=prices)
    chosen = given.chosen(names)
    given.suppose(what_if or (), chosen)
    _say(given.notes)
    answers = [given.answer(name, explain=True) for name in chosen]
    if as_json:
        _print_json([answer_json(answer) for answer in answers])
    else:
        print("\n".join(answer_text(answer, explain=explain) for answer in answers))
    raise typer.Exit(0 if all(answer.chosen is not None for answer in answers) else 1)


@app.command()
def migrate(
    name: Annotated[str, typer.Argument(help="A workload.")],
    config: File = None,
    origin: Annotated[
        str | None, typer.Option("--from", help="Platform that it is on; `on` of the file without.")
    ] = None,
    what_if: WhatIf = None,
    at: Day = None,
    evidence: Records = None,
    facts_file: FactsFile = None,
    prices: PricesFile = None,
    as_json: Json = False,
) -> None:
    """What stops fitting where a workload is today, and when; what else carries it, and what changes."""
    from holdfast.cli.deploy_given import Given
    from holdfast.cli.deploy_migrate import migration_json, migration_text

    given = Given(config, at=at, evidence=evidence, facts=facts_file, prices=prices)
    given.chosen([name])
    given.suppose(what_if or (), [name])
    moved = given.migration(name, origin)
    if as_json:
        _print_json(migration_json(moved))
    else:
        print(migration_text(moved))


@app.command()
def facts(
    platform: Annotated[str | None, typer.Argument(help="Only this platform.")] = None,
    region: Annotated[str, typer.Option(help="Facts that hold there.")] = "us-east-1",
    at: Day = None,
    file: FactsFile = None,
    as_json: Json = False,
) -> None:
    """What is known about the platforms, with sources; and what is not."""
    from holdfast.cli.deploy_facts import facts_json, facts_text
    from holdfast.cli.deploy_given import day
    from holdfast.deploy.errors import Invalid
    from holdfast.deploy.shell.files import load_facts

    known = load_facts(file)
    names = [one.id for one in known.platforms]
    if platform is not None and platform not in names:
        raise Invalid(f"{platform}: no such platform; there are: {', '.join(names)}")
    wanted = names if platform is None else [platform]
    if as_json:
        _print_json(facts_json(known, wanted, region=region, at=day(at)))
    else:
        print(facts_text(known, wanted, region=region, at=day(at)))


@app.command()
def cost(
    names: Names = None,
    config: File = None,
    on: Annotated[
        list[str] | None,
        typer.Option("--on", metavar="CANDIDATE", help="Price this one; may be repeated; what fits best without."),
    ] = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a chart of cost against rate for each.")
    ] = None,
    what_if: WhatIf = None,
    at: Day = None,
    evidence: Records = None,
    facts_file: FactsFile = None,
    prices: PricesFile = None,
    as_json: Json = False,
) -> None:
    """A month idle and a month busy, line by line, and where one candidate becomes cheaper than another."""
    from holdfast.cli.deploy_cost import candidates, draw, report, report_json
    from holdfast.cli.deploy_given import Given

    given = Given(config, at=at, evidence=evidence, facts=facts_file, prices=prices)
    chosen = given.chosen(names)
    given.suppose(what_if or (), chosen)
    _say(given.notes)
    weighed = {name: candidates(given, name, on) for name in chosen}
    if as_json:
        _print_json([report_json(given, name, ones) for name, ones in weighed.items()])
    else:
        print("\n\n".join(report(given, name, ones) for name, ones in weighed.items()))
    for name, ones in weighed.items() if svg is not None else ():
        assert svg is not None  # noqa: S101 - for the type checker
        written = draw(given, name, ones, svg)
        print(written if written is not None else f"{name}: no traffic to draw a chart over", file=sys.stderr)


@app.command()
def template(
    config: File = None,
    out: Out = Path("cloudformation"),
    check_it: Annotated[bool, typer.Option("--check/--no-check", help="Run every check on what is written.")] = True,
    what_if: WhatIf = None,
    at: Day = None,
    evidence: Records = None,
    facts_file: FactsFile = None,
    prices: PricesFile = None,
) -> None:
    """Write CloudFormation for the plan, and check it. Exits with 1 when a workload has no place or a check fails."""
    from holdfast.cli.deploy_given import Given
    from holdfast.cli.deploy_template import written

    given = Given(config, at=at, evidence=evidence, facts=facts_file, prices=prices)
    given.suppose(what_if or (), given.chosen(None))
    raise typer.Exit(0 if written(given, out, check_it=check_it) else 1)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CloudFormation templates, JSON or YAML.")],
    region: Annotated[str, typer.Option(help="Region that they are for.")] = "us-east-1",
    at: Day = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Also create what moto knows, without a network.")] = False,
    as_json: Json = False,
) -> None:
    """cfn-lint and the rules of our own over templates of anybody's. Exits with 1 when one of them fails."""
    from holdfast.cli.deploy_given import day
    from holdfast.cli.deploy_template import checked

    raise typer.Exit(0 if checked(files, region=region, at=day(at), smoke=smoke, as_json=as_json) else 1)


Move = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="cutover.yaml.")]


@cutover_app.callback()
def cutovers() -> None:
    """Move a name to a new target, each step with its way back."""


@cutover_app.command("plan")
def cutover_plan(
    config: Move,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write the files that the commands name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print every step with its commands, checks, threshold to abort, and way back."""
    from holdfast.cli.deploy_cutover import plan_json, show, write

    move = show(config)
    if as_json:
        _print_json(plan_json(move))
    else:
        from holdfast.deploy.core.cutover.text import render

        print(render(move))
    if out is not None:
        write(move, out)


@cutover_app.command("run")
def cutover_run(
    config: Move,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Rehearse against moto; the only way that there is.")
    ] = False,
    zone_name: Annotated[str, typer.Option(help="Name of the hosted zone; the name without its first label.")] = "",
) -> None:
    """Carry out every step, and take each one back, in a rehearsal without a network."""
    from holdfast.cli.deploy_cutover import rehearse, show
    from holdfast.deploy.errors import Invalid

    if not dry_run:
        raise Invalid(
            "only --dry-run is offered: a person runs the commands of `holdfast deploy cutover plan`, one by one"
        )
    rehearse(show(config), zone_name)


@cutover_app.command("simulate")
def cutover_simulate(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer runs: is everything in place?")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeat the chances of an earlier run.")] = None,
    out: Annotated[Path, typer.Option(help="Directory for the evidence.")] = Path("evidence"),
) -> None:
    """The plan against a one-shot switch over a thousand seeded runs; the same as `drill run deploy-cutover`."""
    from holdfast.cli.drills import run

    run("deploy-cutover", quick=quick, seed=seed, out=out)
