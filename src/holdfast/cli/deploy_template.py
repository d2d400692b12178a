"""Templates and their checks, as the command line shows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from holdfast.cli.deploy_fit import answer_text
from holdfast.cli.deploy_given import Given
from holdfast.deploy.errors import ToolFailed
from holdfast.deploy.shell.checks import Rendered, check_templates, read, read_template
from holdfast.deploy.shell.files import load_facts


def written(given: Given, directory: Path, *, check_it: bool) -> bool:
    """Write a template for each stack and say what it is; whether each workload got one, and every check passed."""
    try:
        from holdfast.deploy.shell.template.build import build, left_out, render, write
    except ImportError as error:
        raise ToolFailed(f"templates are made with troposphere: pip install 'holdfast[deploy]' ({error})") from error
    plan = given.plan
    for answer in plan.unplaced:
        print(answer_text(answer, explain=False), file=sys.stderr)
    missing = left_out(plan)
    stacks = build(plan)
    for one in missing:
        print(one, file=sys.stderr)
    files = write(stacks, directory)
    for stack, file in zip(stacks, files, strict=True):
        print(f"{file}: {stack.name}, {stack.region}: {stack.summary}")
    if not check_it:
        return not (plan.unplaced or missing)
    rendered = [
        Rendered(name=str(file), region=stack.region, text=render(stack))
        for stack, file in zip(stacks, files, strict=True)
    ]
    report = check_templates(rendered, at=given.at, facts=given.facts, plan=plan)
    print(report.text())
    return report.passed and not (plan.unplaced or missing)


def checked(files: Sequence[Path], *, region: str, at: date, smoke: bool, as_json: bool) -> bool:
    """Check templates of anybody's; whether all of them passed."""
    rendered = [read_template(file, region=region) for file in files]
    report = check_templates(rendered, at=at, facts=load_facts())
    print(json.dumps(report.json(), indent=2) if as_json else report.text())
    if not smoke:
        return report.passed
    from holdfast.deploy.shell.smoke import smoke_test

    sound = True
    for one in rendered:
        template, _ = read(one)
        tried = smoke_test(template, region=region)
        to = sys.stderr if as_json else sys.stdout
        print(f"{one.name}: moto made {len(tried.made)} resources and does not know {len(tried.left_out)}", file=to)
        for problem in tried.problems:
            print(f"{one.name}: {problem}", file=to)
        sound = sound and tried.passed
    return report.passed and sound
