"""Runs: a task that a model plans, carries out with tools and checks, a bounded number of steps and of dollars long.

A run is its events. :func:`decide` says what comes next, the shell writes down that it begins (``ModelAsked``,
``ToolAsked``), does it, writes down what came of it, and :func:`apply` folds both into the run; nothing begins before
what was before it is stored. So whoever has the events can go on where a process died, and knows what it was about.

::

    queued -> planning -> executing <-> verifying -> succeeded
                 +------------+------------+------> failed | cancelled | exhausted | interrupted

- ``planning`` is left out when the task wants no plan, ``verifying`` when it wants no check.
- A check that fails leads back to ``executing``, with what is wrong, as long as there are steps and money.
- ``exhausted``: the steps or the money are used up; the last answer, if there is one, is there, unchecked.
- ``interrupted``: the process died while a tool that changes things was at work. Whether it did is not known, and
  calling it again could do it twice, so a human has to look. A model, or a tool that only reads, is asked again.

A step is one question to a model. Each may call up to :data:`~.run_prompts.CALLS_PER_STEP` tools, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from holdfast.gateway.core.conversation import Message, Text, ToolCall, ToolResult
from holdfast.gateway.core.run_events import (
    Call,
    Checked,
    Ended,
    ModelAnswered,
    ModelAsked,
    Purpose,
    Queued,
    Resumed,
    RunEvent,
    State,
    ToolAnswered,
    ToolAsked,
    Verdict,
)

ENDED: Final = frozenset({"succeeded", "failed", "cancelled", "exhausted", "interrupted"})
FOLLOWS: Final[Mapping[State, frozenset[str]]] = {
    "queued": frozenset({"planning", "executing"}),
    "planning": frozenset({"planning", "executing"}),
    "executing": frozenset({"executing", "verifying"}),
    "verifying": frozenset({"verifying", "executing"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "exhausted": frozenset(),
    "interrupted": frozenset(),
}
"""State -> those that may follow, besides an end: a state follows itself when a question is asked again."""
_STATE: Final[Mapping[Purpose, State]] = {"plan": "planning", "execute": "executing", "verify": "verifying"}


EXECUTE_WORDS: Final = "Carry out this plan now. When you are done, answer the task, and nothing besides."
MEND_WORDS: Final = "A check found a fault in your answer: {fault}\nMend it, and give the whole answer again."


# ------------------------------------------------------------ what is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a message asks for. Never changes."""

    text: str
    model: str
    system: str = ""
    tools: tuple[str, ...] = ()
    """Names of tools that may be called."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema that the answer has to match; then that is the check."""
    plan: bool = True
    verify: bool = True
    max_steps: int = 12
    max_nano: int = 1_000_000_000
    deadline: float = 0.0
    """Seconds since the epoch."""

    def __post_init__(self) -> None:
        if self.max_steps < 1 or self.max_nano < 0:
            raise ValueError("a run has at least one step, and a budget of 0 or more")


# ------------------------------------------------------------ where it stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run after some of its events."""

    state: State = "queued"
    steps: int = 0
    """Questions to a model that were begun."""
    spent_nano: int = 0
    unpriced: int = 0
    """Steps of which nobody knows what they cost; they are not in ``spent_nano``."""
    pending: ModelAsked | ToolAsked | None = None
    """What began and is not known to be over."""
    calls: tuple[Call, ...] = ()
    """Tools that are still to be called for the last answer."""
    turns: tuple[Message, ...] = ()
    """What was said since the task."""
    answer: str | None = None
    verdict: Verdict | None = None
    """Of the check of ``answer``."""
    reason: str = ""
    message: str = ""
    events: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return self.state in ENDED


class Impossible(ValueError):
    """An event that cannot follow: the store, or whoever wrote it, is wrong."""


def apply(run: Run, event: RunEvent) -> Run:
    """The run after one more event. Raises :class:`Impossible`."""
    if run.ended:
        raise Impossible(f"{type(event).__name__} after the end")
    after = replace(_applied(run, event), events=run.events + 1)
    if after.state != run.state and after.state not in ENDED and after.state not in FOLLOWS[run.state]:
        raise Impossible(f"{after.state} after {run.state}")
    return after


def fold(events: Sequence[RunEvent]) -> Run:
    """The run that these events are. Raises :class:`Impossible`."""
    run = Run()
    for event in events:
        run = apply(run, event)
    return run


def _applied(run: Run, event: RunEvent) -> Run:
    pending = run.pending
    match event:
        case Queued():
            if run.events:
                raise Impossible("it was queued before")
            return run
        case ModelAsked(purpose=purpose):
            if pending is not None or run.calls:
                raise Impossible("something else is under way")
            return replace(run, state=_STATE[purpose], steps=run.steps + 1, pending=event)
        case ModelAnswered():
            if not isinstance(pending, ModelAsked) or pending.purpose != event.purpose:
                raise Impossible("an answer that nobody asked for")
            return _answered(replace(run, pending=None), event)
        case ToolAsked(call=call):
            if pending is not None or not run.calls or run.calls[0].id != call:
                raise Impossible("a tool that is not the next")
            return replace(run, pending=event)
        case ToolAnswered(call=call):
            if not isinstance(pending, ToolAsked) or pending.call != call:
                raise Impossible("a result that nobody asked for")
            result = ToolResult(
                call_id=call, parts=(Text(text=event.text),), is_error=event.is_error, name=run.calls[0].tool
            )
            said = Message(role="tool", parts=(result,))
            return replace(run, pending=None, calls=run.calls[1:], turns=(*run.turns, said))
        case Checked(verdict=verdict, fault=fault):
            if pending is not None or run.answer is None:
                raise Impossible("there is nothing to check")
            return _checked(replace(run, state="verifying"), verdict, fault)
        case Resumed():
            # A question whose answer was lost may have cost something; the ledger knows, this run does not.
            return replace(run, pending=None, unpriced=run.unpriced + isinstance(pending, ModelAsked))
        case Ended(state=state, reason=reason, message=message):
            return replace(run, state=state, pending=None, reason=reason, message=message)


def _answered(run: Run, event: ModelAnswered) -> Run:
    run = replace(
        run,
        spent_nano=run.spent_nano + (event.cost_nano or 0),
        unpriced=run.unpriced + (event.cost_nano is None),
    )
    if event.purpose == "plan":
        plan = spoken("assistant", event.text)
        return replace(run, turns=(*run.turns, plan, spoken("user", EXECUTE_WORDS)))
    if event.purpose == "verify":
        verdict, fault = verdict_of(event.text)
        return _checked(run, verdict, fault)
    calls = tuple(ToolCall(id=call.id, name=call.tool, arguments=call.arguments) for call in event.calls)
    words = (Text(text=event.text),) if event.text or not calls else ()
    said = Message(role="assistant", parts=(*words, *calls))
    return replace(
        run,
        turns=(*run.turns, said),
        calls=event.calls,
        answer=None if calls else event.text,
        verdict=None,
    )


def _checked(run: Run, verdict: Verdict, fault: str) -> Run:
    if verdict != "failed":
        return replace(run, verdict=verdict)
    mend = spoken("user", MEND_WORDS.format(fault=fault or "it does not say which"))
    return replace(run, verdict=verdict, turns=(*run.turns, mend))


def verdict_of(text: str) -> tuple[Verdict, str]:
    """What a model says of its own answer. One that does not keep to the form leaves it open: ``unclear``."""
    words = text.strip().lstrip("*#` ")
    head = words[:4].upper()
    if head == "PASS":
        return "passed", ""
    if head == "FAIL":
        return "failed", words[4:].lstrip(":*` ").strip()[:2000]
    return "unclear", ""


# ------------------------------------------------------------ what comes next


@dataclass(frozen=True, slots=True)
class AskModel:
    """The next step."""

    purpose: Purpose


@dataclass(frozen=True, slots=True)
class CallTool:
    """The next tool."""

    call: Call


@dataclass(frozen=True, slots=True)
class CheckSchema:
    """Compare the answer with the schema that was asked for."""

    answer: str


Action: TypeAlias = AskModel | CallTool | CheckSchema | Ended


def decide(run: Run, task: Task, *, now: float) -> Action:
    """What comes next; ``now`` is seconds since the epoch. Raises :class:`Impossible` for what is under way or over."""
    if run.ended or run.pending is not None:
        raise Impossible("it is over, or something is under way")
    if now >= task.deadline:
        return Ended(state="failed", reason="timeout", message="the run took longer than sessions.timeout")
    if run.calls:
        return CallTool(run.calls[0])
    if run.answer is not None and run.verdict != "failed":
        return _after_answer(run, task)
    return _step(run, task, "plan" if task.plan and _unplanned(run) else "execute")


def _unplanned(run: Run) -> bool:
    """Whether there is no plan yet; one whose answer was lost is asked for again."""
    return run.state == "queued" or (run.state == "planning" and not run.turns)


def _after_answer(run: Run, task: Task) -> Action:
    answer = run.answer or ""
    if run.verdict is not None:
        note = "" if run.verdict == "passed" else "the check said neither PASS nor FAIL"
        return Ended(state="succeeded", reason=run.verdict, message=note)
    if not answer.strip():
        return Ended(state="failed", reason="no_answer", message="the model gave no answer")
    if task.schema is not None:
        return CheckSchema(answer)
    if not task.verify:
        return Ended(state="succeeded", reason="unchecked")
    return _step(run, task, "verify")


def _step(run: Run, task: Task, purpose: Purpose) -> Action:
    unchecked = ""
    if run.answer is not None:
        unchecked = "; the answer failed its check" if run.verdict == "failed" else "; the answer was not checked"
    if run.steps >= task.max_steps:
        return Ended(state="exhausted", reason="steps", message=f"all {task.max_steps} steps were used{unchecked}")
    if run.spent_nano >= task.max_nano:
        return Ended(state="exhausted", reason="budget", message=f"the run's budget was used{unchecked}")
    return AskModel(purpose)


def recovered(run: Run) -> Resumed | Ended:
    """What follows when the process that ran it is gone."""
    pending = run.pending
    if isinstance(pending, ToolAsked) and pending.scope != "read":
        return Ended(
            state="interrupted",
            reason="tool_unknown",
            message=f"the process ended while {pending.tool} was at work; whether it did anything is not known",
        )
    if pending is None:
        return Resumed(why="the process that ran it ended between two steps")
    what = pending.tool if isinstance(pending, ToolAsked) else f"the {pending.purpose} step"
    return Resumed(why=f"the process ended during {what}; it is asked again")


def spoken(role: Literal["system", "user", "assistant"], text: str) -> Message:
    """A message of words alone."""
    return Message(role=role, parts=(Text(text=text),))
