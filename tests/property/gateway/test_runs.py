"""The state machine of runs: whatever models, tools and failures of processes do, a run ends, within its bounds."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.core.conversation import ToolCall, ToolResult
from holdfast.gateway.core.run_events import (
    Call,
    Checked,
    Ended,
    ModelAnswered,
    ModelAsked,
    Queued,
    Resumed,
    RunEvent,
    ToolAnswered,
    ToolAsked,
)
from holdfast.gateway.core.run_prompts import Past, chat_for, kept
from holdfast.gateway.core.runs import (
    AskModel,
    CallTool,
    CheckSchema,
    Impossible,
    Run,
    Task,
    apply,
    decide,
    fold,
    recovered,
)
from holdfast.gateway.core.tools import ToolScope, ToolSpec

TASKS = st.builds(
    Task,
    text=st.just("what is it?"),
    model=st.just("m"),
    schema=st.sampled_from([None, {"type": "object"}]),
    plan=st.booleans(),
    verify=st.booleans(),
    max_steps=st.integers(1, 8),
    max_nano=st.integers(0, 100),
    deadline=st.just(50.0),
)
WORDS = st.sampled_from(["", "42", "PASS", "FAIL: no", "perhaps"])
SCOPES: st.SearchStrategy[ToolScope] = st.sampled_from(["read", "write"])
COSTS = st.one_of(st.none(), st.integers(0, 30))


def played(task: Task, data: st.DataObject) -> list[RunEvent]:
    """A whole run, with answers, results and deaths of its process as they are drawn."""
    events: list[RunEvent] = [Queued(text=task.text)]
    run = fold(events)

    def happen(event: RunEvent) -> None:
        nonlocal run
        events.append(event)
        run = apply(run, event)

    now = 0.0
    while not run.ended:
        action = decide(run, task, now=now)
        now += 0.1
        if isinstance(action, Ended):
            happen(action)
            continue
        if isinstance(action, CheckSchema):
            happen(Checked(verdict=data.draw(st.sampled_from(["passed", "failed"])), fault="x"))
            continue
        if isinstance(action, AskModel):
            happen(ModelAsked(purpose=action.purpose, step=run.steps + 1))
        else:
            scope = data.draw(SCOPES)
            happen(ToolAsked(call=action.call.id, tool="t", scope=scope, arguments="{}"))
        if data.draw(st.integers(0, 9)) == 0:
            happen(recovered(run))
        elif isinstance(action, CallTool):
            happen(ToolAnswered(call=action.call.id, tool="t", text="r", is_error=data.draw(st.booleans())))
        else:
            count = data.draw(st.integers(0, 2)) if action.purpose == "execute" else 0
            calls = tuple(Call(id=f"c{len(events)}-{place}", tool="t", arguments="{}") for place in range(count))
            text = data.draw(WORDS)
            happen(ModelAnswered(purpose=action.purpose, text=text, calls=calls, cost_nano=data.draw(COSTS)))
    return events


@given(TASKS, st.data())
def test_every_run_ends_within_its_steps_and_asks_nothing_more_when_its_money_is_gone(
    task: Task, data: st.DataObject
) -> None:
    events = played(task, data)
    asked = [event for event in events if isinstance(event, ModelAsked)]
    assert len(asked) <= task.max_steps
    spent = 0
    for event in events:
        if isinstance(event, ModelAsked):
            assert spent < task.max_nano
        if isinstance(event, ModelAnswered):
            spent += event.cost_nano or 0
    assert fold(events).spent_nano == spent


@given(TASKS, st.data())
def test_a_run_that_succeeded_has_an_answer_and_whatever_check_was_asked_for(task: Task, data: st.DataObject) -> None:
    events = played(task, data)
    run = fold(events)
    if run.state == "succeeded":
        assert run.answer
        assert run.verdict in ({"passed", "unclear"} if task.verify or task.schema is not None else {None})
        assert run.message or run.reason != "unclear"


@given(TASKS, st.data())
def test_a_run_is_the_same_read_back_from_the_store(task: Task, data: st.DataObject) -> None:
    events = played(task, data)
    stored = [msgspec.json.decode(msgspec.json.encode(event), type=RunEvent) for event in events]
    assert fold(stored) == fold(events)


@given(TASKS, st.data())
def test_a_run_can_be_taken_over_after_any_event_and_no_writing_tool_is_called_twice(
    task: Task, data: st.DataObject
) -> None:
    events = played(task, data)
    for length in range(1, len(events)):
        run = fold(events[:length])
        begun = run.pending
        after = apply(run, recovered(run))
        if isinstance(begun, ToolAsked) and begun.scope != "read":
            assert after.state == "interrupted"
        else:
            assert not after.ended
            assert decide(after, task, now=0.0) is not None


@given(TASKS, st.data())
def test_every_call_of_a_tool_that_a_model_is_told_of_has_its_result(task: Task, data: st.DataObject) -> None:
    events = played(task, data)
    for length in range(1, len(events)):
        run = fold(events[:length])
        if run.calls or run.pending is not None:
            continue
        chat = chat_for("execute", run, task, [], [ToolSpec(name="t", description="", schema={})])
        parts = [part for message in chat.messages for part in message.parts]
        called = [part.id for part in parts if isinstance(part, ToolCall)]
        returned = [part.call_id for part in parts if isinstance(part, ToolResult)]
        assert called == returned


@pytest.mark.parametrize(
    ("before", "event"),
    [
        (Run(), ModelAnswered(purpose="plan", text="x")),
        (Run(), ToolAsked(call="c", tool="t", scope="read", arguments="{}")),
        (Run(), Checked(verdict="passed")),
        (Run(state="failed"), ModelAsked(purpose="plan", step=1)),
        (Run(state="succeeded"), Resumed(why="x")),
        (Run(state="executing"), ModelAsked(purpose="plan", step=1)),
        (replace(Run(), events=1), Queued(text="x")),
    ],
)
def test_an_event_that_cannot_follow_is_refused(before: Run, event: RunEvent) -> None:
    with pytest.raises(Impossible):
        apply(before, event)


def test_a_deadline_that_has_passed_ends_a_run_before_its_next_step() -> None:
    task = Task(text="x", model="m", deadline=10.0)
    assert decide(Run(), task, now=10.0) == Ended(
        state="failed", reason="timeout", message="the run took longer than sessions.timeout"
    )


@given(st.lists(st.integers(0, 40_000), max_size=40))
def test_a_model_is_told_the_latest_of_a_session_and_not_too_much(sizes: list[int]) -> None:
    past = [Past(text="q", answer="a" * size) for size in sizes]
    found = kept(past)
    assert len(found) <= 20
    assert sum(len(each.text) + len(each.answer) for each in found) <= 100_000
    assert list(found) == past[len(past) - len(found) :]
