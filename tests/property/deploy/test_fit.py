"""What holds of every answer, whatever the workload."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.deploy.core.candidates import CANDIDATES, Candidate
from holdfast.deploy.core.flips import relaxed
from holdfast.deploy.core.prices import Estimate, Line, Price
from holdfast.deploy.core.properties import PROTOCOLS
from holdfast.deploy.core.question import Question, choose
from holdfast.deploy.core.whatif import stated, what_if
from holdfast.deploy.core.workload import DeploySettings, HealthNeeds, ScaleNeeds, Workload
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.files import load_facts
from holdfast.kernel import Duration, Size

AT = date(2026, 11, 23)
FACTS = load_facts()
NEEDS = ("privileged", "user-namespaces", "gpu", "sidecars", "background-work", "tls-passthrough", "isolated-tasks")


def _cost(candidate: Candidate, workload: Workload, region: str) -> Estimate:
    """A stub: dearer by the length of the name, so that nothing ties by accident."""
    price = Price(key="stub", amount=Decimal(len(candidate.id)), unit="month", region=region)
    return Estimate(title=workload.package, lines=(Line(what="stub", quantity=Decimal(1), price=price),))


def _question(workload: Workload) -> Question:
    return Question(workload=workload, settings=DeploySettings(), region="us-east-1", facts=FACTS, cost=_cost, at=AT)


seconds = st.none() | st.sampled_from((1.0, 60.0, 120.0, 600.0, 901.0, 7200.0)).map(Duration)
workloads = st.builds(
    Workload,
    protocols=st.lists(st.sampled_from(PROTOCOLS), max_size=2, unique=True).map(tuple),
    longest=seconds,
    silence=seconds,
    drain=seconds,
    request_size=st.none() | st.sampled_from((2**10, 2**23, 2**31)).map(Size),
    health=st.none() | st.builds(HealthNeeds, checks=st.sampled_from((("http",), ("http", "port"), ("tcp",)))),
    scale=st.builds(
        ScaleNeeds,
        signal=st.none() | st.sampled_from(("cpu", "queue", "requests")),
        max=st.sampled_from((1, 10, 100)),
        to_zero=st.booleans(),
        interruptible=st.booleans(),
    ),
    cpu=st.sampled_from((0.25, 4.0, 17.0)),
    needs=st.lists(st.sampled_from(NEEDS), max_size=2, unique=True).map(tuple),
)
few = settings(max_examples=40, deadline=None)


@given(workloads, st.sampled_from(("longest", "silence", "drain", "request_size", "health")))
@few
def test_relaxing_a_need_never_removes_a_candidate(workload: Workload, field: str) -> None:
    """What fits with a need fits without it; what may fit may still.

    ``longest`` also says how long a drain is when none is written, and only ever more.
    """
    before = {one.candidate: one for one in _question(workload).ranked()}
    after = {one.candidate: one for one in _question(msgspec.structs.replace(workload, **{field: None})).ranked()}
    for candidate, one in before.items():
        if field == "drain" and workload.drain is not None and workload.protocols:
            continue  # not written, it follows from longest: that is no relaxation
        assert after[candidate].fits or not one.fits
        assert after[candidate].may_fit or not one.may_fit


@given(workloads, st.sampled_from(NEEDS))
@few
def test_one_need_less_never_removes_a_candidate(workload: Workload, need: str) -> None:
    """The same of the list of needs.

    ``isolated-tasks`` also says that somebody starts a task for each session: without it the platform has to keep them.
    """
    less = msgspec.structs.replace(workload, needs=tuple(one for one in workload.needs if one != need))
    after = {one.candidate: one for one in _question(less).ranked()}
    for one in _question(workload).ranked():
        if one.may_fit and not after[one.candidate].may_fit:
            assert need == "isolated-tasks"
            assert {finding.rule for finding in after[one.candidate].rejections} == {"kept"}


@given(workloads, st.data())
@few
def test_an_unknown_never_turns_into_a_fit(workload: Workload, data: st.DataObject) -> None:
    """With a fact forgotten a candidate that rests on it is in doubt, or rejected: it does not fit."""
    question = _question(workload)
    fitting = [one for one in question.ranked() if one.fits]
    if not fitting:
        return
    one = data.draw(st.sampled_from(fitting))
    finding = data.draw(
        st.sampled_from([finding for finding in one.findings if finding.rule != "health"] or [one.findings[0]])
    )
    forgotten = replace(question, facts=FACTS.stating(replace(finding.facts[0], value=None)))
    assert not forgotten.weighed(one.candidate).fits


@given(workloads, st.randoms(use_true_random=False))
@few
def test_the_ranking_is_one_whatever_the_order(workload: Workload, rng: object) -> None:
    """Same input, same answer."""
    shuffled = list(CANDIDATES)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert _question(workload).ranked(shuffled) == _question(workload).ranked()


@given(workloads)
@few
def test_a_candidate_that_fits_is_never_passed_over_for_a_doubt(workload: Workload) -> None:
    """The choice fits whenever anything does, and is never rejected."""
    ranked = _question(workload).ranked()
    chosen = choose(ranked)
    if any(one.fits for one in ranked):
        assert chosen is not None
        assert chosen.fits
    assert chosen is None or chosen.may_fit


@given(workloads)
@few
def test_what_if_takes_every_change_that_is_offered(workload: Workload) -> None:
    """Relaxations and stated facts are written as they are read; stating a fact as it is changes nothing."""
    question = _question(workload)
    ranked = question.ranked()
    for key in {key for one in ranked for finding in one.rejections for key in relaxed(question, finding)}:
        try:
            what_if(question.settings, workload, FACTS, key)
        except Invalid as wrong:
            assert "what-if" in str(wrong)  # noqa: PT017 - a change may contradict the rest, and says so
    rested_on = {fact.id: fact for one in ranked for finding in one.findings for fact in finding.facts}
    for fact in rested_on.values():
        if fact.value is not None and (fact.platform, fact.name) in FACTS.entries:
            asked = what_if(question.settings, workload, FACTS, stated(fact, fact.value))
            assert asked.facts.get(fact.platform, fact.name, at=AT, region="us-east-1").value == fact.value
