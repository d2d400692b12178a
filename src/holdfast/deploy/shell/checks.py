"""Checks of rendered templates: cfn-lint and our own rules, in one report."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

from holdfast.deploy.core.facts import Facts
from holdfast.deploy.core.plan import Plan
from holdfast.deploy.core.rules import Severity, Suppressed, Violation, check, suppressed
from holdfast.deploy.errors import Invalid, ToolFailed

TEMPLATE_BYTES_MOST: Final = 1_000_000
"""What CloudFormation takes from a bucket; more is refused before it is parsed."""
_LEVELS: Final[Mapping[str, Severity]] = {"error": "error", "warning": "warning"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One template as it would be deployed."""

    name: str
    """Of the file or stack, for messages."""
    region: str
    text: str
    """JSON, or YAML with CloudFormation's short forms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding, by whoever found it."""

    file: str
    line: int | None
    """In the text, from 1."""
    checker: Literal["holdfast", "cfn-lint"]
    rule: str
    severity: Severity
    where: str
    """``Api.Properties.DesiredCount``."""
    text: str
    remedy: str
    cited: str = ""
    """Source and date of the facts that it rests on."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        cited = f" ({self.cited})" if self.cited else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{place}: {self.severity} {self.rule} {self.where}: {self.text}{cited}{remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was checked and what was found."""

    files: tuple[str, ...]
    problems: tuple[Problem, ...]
    suppressed: tuple[tuple[str, Suppressed], ...] = ()
    """What templates suppress, by file, with the reason."""

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(problem.severity == "error" for problem in self.problems)

    @property
    def warnings(self) -> int:
        """How many are warnings."""
        return len(self.problems) - self.errors

    @property
    def passed(self) -> bool:
        """Whether there is no error. A warning does not fail."""
        return not self.errors

    def text(self) -> str:
        """One line for each finding, then the counts."""
        lines = [str(problem) for problem in self.problems]
        lines += [f"{file}: {one.rule} is suppressed on {one.resource}: {one.reason}" for file, one in self.suppressed]
        counts = f"{self.errors} errors, {self.warnings} warnings, {len(self.suppressed)} suppressed"
        return "\n".join((*lines, f"{len(self.files)} templates: {counts}"))

    def json(self) -> Mapping[str, Any]:
        """The same for programs."""
        return {
            "files": list(self.files),
            "errors": self.errors,
            "warnings": self.warnings,
            "passed": self.passed,
            "problems": [
                {name: getattr(problem, name) for name in Problem.__dataclass_fields__} for problem in self.problems
            ],
            "suppressed": [
                {"file": file, "resource": one.resource, "rule": one.rule, "reason": one.reason}
                for file, one in self.suppressed
            ],
        }


def check_templates(
    rendered: Sequence[Rendered], *, at: date, facts: Facts | None = None, plan: Plan | None = None
) -> Report:
    """Hold templates to cfn-lint and to our rules, each for its region.

    Raises :class:`Invalid` for what is no template, :class:`ToolFailed` where cfn-lint is missing or fails.
    """
    problems: list[Problem] = []
    meant: list[tuple[str, Suppressed]] = []
    for one in rendered:
        template, lines = read(one)
        found = check(template, region=one.region, facts=facts, at=at, plan=plan)
        problems += (_ours(one, lines, violation) for violation in found)
        problems += lint(one)
        meant += ((one.name, entry) for entry in suppressed(template))
    problems.sort(key=lambda problem: (problem.file, problem.severity, problem.line or 0, problem.rule))
    return Report(files=tuple(one.name for one in rendered), problems=tuple(problems), suppressed=tuple(meant))


def read_template(path: Path, *, region: str) -> Rendered:
    """A template from a file. Raises :class:`Invalid` for one that cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(TEMPLATE_BYTES_MOST + 1)
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}; name a template that can be read") from error
    if len(data) > TEMPLATE_BYTES_MOST:
        raise Invalid(f"{path}: over {TEMPLATE_BYTES_MOST} bytes, which CloudFormation does not take; split the stack")
    try:
        return Rendered(name=str(path), region=region, text=data.decode())
    except UnicodeDecodeError as error:
        raise Invalid(f"{path}: is not UTF-8 at byte {error.start}") from error


def read(rendered: Rendered) -> tuple[Mapping[str, Any], Any]:
    """A template as values, and the same with marks of the lines. Raises :class:`Invalid`, :class:`ToolFailed`."""
    try:
        from cfnlint.decode import cfn_json, cfn_yaml
        from cfnlint.decode.node import dict_node
    except ImportError as error:
        raise ToolFailed(f"templates are read with cfn-lint: pip install 'holdfast[deploy]' ({error})") from error
    text = rendered.text
    if len(text) > TEMPLATE_BYTES_MOST:
        raise Invalid(f"{rendered.name}: over {TEMPLATE_BYTES_MOST} bytes, which CloudFormation does not take")
    try:
        if text.lstrip().startswith("{"):
            marked = json.loads(text, cls=cfn_json.CfnJSONDecoder)
        else:
            marked = cfn_yaml.loads(text)
    except RecursionError:
        raise Invalid(f"{rendered.name}: is nested too deep for a template") from None
    except Exception as error:
        # Three parsers, each with errors of its own, stand behind these two calls.
        raise Invalid(f"{rendered.name}: is neither JSON nor YAML of CloudFormation: {_first_line(error)}") from error
    if not isinstance(marked, dict_node):
        raise Invalid(f"{rendered.name}: a mapping with Resources is expected")
    return marked, marked


def lint(rendered: Rendered) -> Iterator[Problem]:
    """What cfn-lint finds for the region. Raises :class:`ToolFailed`."""
    try:
        from cfnlint.api import ManualArgs
        from cfnlint.api import lint as run
    except ImportError as error:
        raise ToolFailed(f"templates are checked with cfn-lint: pip install 'holdfast[deploy]' ({error})") from error
    logging.getLogger("cfnlint").setLevel(logging.ERROR)
    try:
        found = run(rendered.text, config=ManualArgs(regions=[rendered.region]))
    except Exception as error:
        # It raises whatever its rules raise. What it cannot read has been refused by `read` before.
        raise ToolFailed(f"{rendered.name}: cfn-lint failed: {_first_line(error)}") from error
    for match in found:
        path = [str(part) for part in getattr(match, "path", None) or ()]
        yield Problem(
            file=rendered.name,
            line=match.linenumber,
            checker="cfn-lint",
            rule=match.rule.id,
            severity=_LEVELS.get(str(match.rule.severity), "warning"),
            where=".".join(path[1:] if path[:1] == ["Resources"] else path) or "template",
            text=match.message,
            remedy="",
        )


def _ours(rendered: Rendered, lines: Any, violation: Violation) -> Problem:
    return Problem(
        file=rendered.name,
        line=_line(lines, ("Resources", violation.resource, *violation.path)),
        checker="holdfast",
        rule=violation.rule,
        severity=violation.severity,
        where=violation.where,
        text=violation.text,
        remedy=violation.remedy,
        cited="; ".join(dict.fromkeys(fact.cited for fact in violation.facts)),
    )


def _line(marked: Any, path: Sequence[str | int]) -> int | None:
    """Where the deepest part of a path that is in the text begins; behind ``Fn::If`` nothing has a place of its own."""
    line: int | None = None
    for part in path:
        keys = list(marked) if isinstance(marked, Mapping) else []
        if part in keys:
            mark = getattr(keys[keys.index(part)], "start_mark", None)
            marked = marked[part]
        elif isinstance(part, int) and isinstance(marked, list) and part < len(marked):
            marked = marked[part]
            mark = getattr(marked, "start_mark", None)
        else:
            break
        if mark is not None:
            line = int(mark.line) + 1
    return line


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
