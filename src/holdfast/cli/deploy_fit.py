"""Answers of the planner, as the command line shows them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from holdfast.cli.deploy_cost import money
from holdfast.cli.deploy_facts import fact_json, value_text
from holdfast.deploy.core.answer import Answer, Finding, Weighed

_CENT: Final = Decimal("0.01")
_MARKS: Final = {"holds": "+", "rejects": "-", "unknown": "?"}


def answer_text(answer: Answer, *, explain: bool) -> str:
    """Where it goes, what that hangs on; with ``explain`` every candidate with all of its reasons."""
    lines = [_head(answer)]
    lines += [f"  ! {warning}" for warning in answer.warnings]
    lines += [f"  flips: {one.text}" for one in answer.decisive]
    if explain:
        for one in answer.weighed:
            lines += _explained(one)
    else:
        others = [one for one in answer.weighed if one is not answer.chosen]
        fitting = [one for one in others if one.may_fit]
        lines += [f"  else:  {_summary(one)}" for one in fitting[:3]]
        if answer.chosen is None:
            lines += [f"  near:  {_summary(one)}" for one in answer.weighed[:3]]
    return "\n".join(lines)


def _head(answer: Answer) -> str:
    if answer.chosen is None:
        return f"{answer.workload}, {answer.region}: nothing fits"
    doubt = "" if answer.chosen.fits else ", if what is unknown of it turns out well"
    return f"{answer.workload}, {answer.region}: {_summary(answer.chosen)}{doubt}"


def _summary(one: Weighed) -> str:
    if one.rejections:
        reasons = "; ".join(finding.text for finding in one.rejections[:2])
        more = f"; and {len(one.rejections) - 2} more" if len(one.rejections) > 2 else ""
        return f"{one.candidate.id}: no: {reasons}{more}"
    price = f"{money(one.cost, complete=one.cost_complete)} a month"
    work = "" if one.operations is None else f", work {one.operations:g} of 10"
    doubts = f"; to find out first: {', '.join(finding.rule for finding in one.unknowns)}" if one.unknowns else ""
    return f"{one.candidate.id} ({price}{work}){doubts}"


def _explained(one: Weighed) -> Iterator[str]:
    word = "fits" if one.fits else "may fit" if one.may_fit else "no"
    score = "" if one.score is None else f", score {one.score:.0f}"
    yield f"  {one.candidate.id}: {word}; {money(one.cost, complete=one.cost_complete)} a month{score}"
    for finding in (*one.rejections, *one.unknowns, *(each for each in one.findings if each.verdict == "holds")):
        yield f"    {_MARKS[finding.verdict]} {finding.rule}: {finding.text}"
        if finding.verdict != "holds":
            for fact in finding.facts:
                yield f"        {fact.id} = {value_text(fact.value, fact.unit)} [{fact.cited}]"


def answer_json(answer: Answer) -> dict[str, Any]:
    """All of it, for machines."""
    return {
        "workload": answer.workload,
        "region": answer.region,
        "chosen": answer.chosen and answer.chosen.candidate.id,
        "certain": answer.chosen is not None and answer.chosen.fits,
        "warnings": list(answer.warnings),
        "decisive": [
            {"key": one.key, "text": one.text, "becomes": one.becomes, "rule": one.finding.rule}
            for one in answer.decisive
        ],
        "candidates": [_weighed_json(one) for one in answer.weighed],
    }


def _weighed_json(one: Weighed) -> dict[str, Any]:
    return {
        "candidate": one.candidate.id,
        "verdict": "fits" if one.fits else "may fit" if one.may_fit else "rejected",
        "cost": None if one.cost is None else str(one.cost.quantize(_CENT)),
        "cost_complete": one.cost_complete,
        "operations": one.operations,
        "score": one.score,
        "findings": [_finding_json(finding) for finding in one.findings],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "verdict": finding.verdict,
        "need": finding.need,
        "text": finding.text,
        "facts": [fact_json(fact) for fact in finding.facts],
    }
