"""The golden set: answers that somebody who runs these platforms would sign, and what each of them hangs on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from holdfast.deploy.core.answer import Answer, Weighed
from holdfast.deploy.core.candidates import CANDIDATES
from holdfast.deploy.core.constraints.case import STATED
from holdfast.deploy.core.cost import cost_of
from holdfast.deploy.core.fit import fit
from holdfast.deploy.core.flips import outcome
from holdfast.deploy.core.question import Question
from holdfast.deploy.core.workload import DeploySettings, Workload
from holdfast.deploy.shell.files import load_facts, load_prices
from holdfast.kernel import Duration, Size

AT = date(2026, 11, 23)
FACTS = load_facts()
PRICES = load_prices()
FILE = Path(__file__).parents[3] / "golden" / "deploy" / "workloads.yaml"


@dataclass(frozen=True, slots=True)
class Golden:
    """One workload with its expected answer."""

    name: str
    workload: Workload
    settings: DeploySettings
    expect: str
    reason: dict[str, str]
    flip: str
    becomes: str

    @property
    def region(self) -> str:
        return self.settings.region

    @property
    def question(self) -> Question:
        cost = cost_of(self.settings, PRICES, AT)
        return Question(
            workload=self.workload, settings=self.settings, region=self.region, facts=FACTS, cost=cost, at=AT
        )

    def answer(self) -> Answer:
        return fit(
            self.name,
            self.workload,
            settings=self.settings,
            region=self.region,
            facts=FACTS,
            cost=cost_of(self.settings, PRICES, AT),
            at=AT,
            explain=False,
        )


def _units(kind: type, value: Any) -> object:
    assert kind in (Duration, Size)
    return kind.parse(value) if isinstance(value, str) else kind(value)


def _golden() -> list[Golden]:
    def read(kind: type, raw: object) -> Any:
        return msgspec.convert(raw, kind, dec_hook=_units)

    return [
        Golden(
            name=one["name"],
            workload=read(Workload, one["workload"]),
            settings=read(DeploySettings, one.get("settings", {})),
            expect=one["expect"],
            reason=one["reason"],
            flip=one["flip"],
            becomes=one["becomes"],
        )
        for one in yaml.safe_load(FILE.read_text())
    ]


GOLDEN = _golden()
each = pytest.mark.parametrize("one", GOLDEN, ids=lambda one: one.name)


def _of(answer: Answer, candidate: str) -> Weighed:
    return next(one for one in answer.weighed if one.candidate.id == candidate)


def test_the_set_is_large_enough() -> None:
    """At least 44 workloads, no name twice."""
    assert len({one.name for one in GOLDEN}) == len(GOLDEN) >= 44


@each
def test_the_answer_is_the_one_that_an_engineer_signs(one: Golden) -> None:
    """The expected candidate is chosen, or nothing is, where nothing fits."""
    answer = one.answer()
    assert (answer.chosen.candidate.id if answer.chosen else "") == one.expect
    if not answer.chosen:
        assert answer.warnings, "what would have to give is said"


@each
def test_the_decisive_reason_is_among_the_findings(one: Golden) -> None:
    """The named rule rejects the named candidate; or the candidate could do it too and loses by its score."""
    answer = one.answer()
    if (loser := one.reason.get("cost")) is None:
        assert one.reason["rule"] in {finding.rule for finding in _of(answer, one.reason["rejects"]).rejections}
        return
    other = _of(answer, loser)
    assert other.may_fit
    assert answer.chosen is not None
    assert other.score is not None
    assert answer.chosen.score is not None
    assert other.score > answer.chosen.score


@each
def test_flipping_the_decisive_fact_changes_the_answer(one: Golden) -> None:
    """One change gives the other expected answer."""
    assert one.becomes != one.expect
    assert outcome(one.question, one.flip) == one.becomes


@each
def test_every_candidate_is_explained(one: Golden) -> None:
    """Each one has findings; a rejection cites a fact with source and date, or what the settings state."""
    answer = one.answer()
    assert {weighed.candidate for weighed in answer.weighed} == set(CANDIDATES)
    for weighed in answer.weighed:
        assert weighed.findings
        for finding in weighed.findings:
            assert finding.facts
            assert finding.text
            if finding.verdict == "unknown":
                continue
            assert any(fact.source == STATED or (fact.source and fact.retrieved) for fact in finding.facts)


@each
def test_the_answer_does_not_depend_on_the_order_of_the_candidates(one: Golden) -> None:
    """Asked backwards, the ranking is the same."""
    question = replace(one.question)
    assert question.ranked(CANDIDATES[::-1]) == question.ranked(CANDIDATES)
