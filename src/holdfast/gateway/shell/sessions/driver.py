"""Does what a run decides, one thing after the other, and writes down each before the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from holdfast.gateway.core.guard.schema import mismatch
from holdfast.gateway.core.run_events import (
    Checked,
    Ended,
    ModelAsked,
    RunEvent,
    ToolAnswered,
    ToolAsked,
    storable,
)
from holdfast.gateway.core.run_prompts import Past, answered, chat_for
from holdfast.gateway.core.runs import AskModel, CallTool, CheckSchema, Run, apply, decide, fold, recovered
from holdfast.gateway.core.tools import ToolScope, ToolSpec, told, wire_names
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.sessions.store import Record, SessionStore, Superseded
from holdfast.store import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from holdfast.gateway.core.ports import Holder, ModelCaller
    from holdfast.gateway.core.tools import Result
    from holdfast.identity import Principal

log = logging.getLogger(__name__)
T = TypeVar("T")

STORE_TRIES: Final = 5
"""Writes of an event before a run is left to whoever finds it; about 6 s, well inside of its lease."""
_FIRST_PAUSE_S: Final = 0.2


class Tools(Protocol):
    """What is needed of the broker."""

    def usable(self, caller: Principal) -> list[ToolSpec]:
        """Tools that a key may use."""
        ...

    async def call(
        self, caller: Principal, name: str, arguments: str, *, model: str | None = None, run: str = ""
    ) -> Result:
        """Call one. Raises :class:`Refused`."""
        ...


class Stopping(Exception):
    """This process ends; the run goes on elsewhere."""


class Driver:
    """One run, in the hands of this process."""

    def __init__(
        self,
        record: Record,
        *,
        store: SessionStore,
        owner: str,
        models: ModelCaller,
        tools: Tools,
        caller: Callable[[Holder], Awaitable[Principal | None]],
        clock: Callable[[], float],
    ) -> None:
        """``caller`` says whom a key speaks for by now; ``clock`` gives seconds since the epoch."""
        self.record = record
        self._store = store
        self._owner = owner
        self._models = models
        self._tools = tools
        self._caller = caller
        self._clock = clock
        self._run = Run()
        self._past: list[Past] = []
        self.stopping = False
        """Whether the run is left after what is under way."""
        self.cancelled = False
        """Whether its task is being cancelled because somebody asked for the end of the run."""

    async def drive(self) -> None:
        """Until its end.

        Raises:
            Stopping: The process ends; the run waits for another.
            Superseded: Another process has it.
            StoreError: What came next could not be written down.
        """
        stored = await self._events()
        self._run = fold(stored)
        if self._run.ended:
            return
        self._past = await self._store.past(self.record.session, before=self.record.number)
        try:
            if len(stored) > 1:
                await self._happen(recovered(self._run))
            while not self._run.ended:
                if self.stopping:
                    raise Stopping
                await self._step()
        except asyncio.CancelledError:
            if not self.cancelled:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            await self._end("cancelled", "cancelled", "somebody asked for it")
        except Refused as refused:
            await self._end("failed", refused.reason, str(refused))
        except TimeoutError:
            await self._end("failed", "timeout", "the run took longer than sessions.timeout")
        except (Stopping, Superseded, StoreError):
            raise
        except Exception:
            # It would happen again wherever the run is taken up, for ever.
            log.exception("a run failed in an unforeseen way", extra={"action": "run_error", "run": self.record.id})
            await self._end("failed", "internal", "an error of the gateway; its log says more")

    async def _step(self) -> None:
        task = self.record.task
        action = decide(self._run, task, now=self._clock())
        match action:
            case AskModel():
                caller = await self._authorized()
                await self._happen(ModelAsked(purpose=action.purpose, step=self._run.steps + 1))
                tools = [spec for spec in self._tools.usable(caller) if spec.name in task.tools]
                chat = chat_for(action.purpose, self._run, task, self._past, tools)
                answer, cost = await self._within(self._models.complete(self.record.holder, chat))
                step = self._run.steps
                await self._happen(answered(action.purpose, answer, cost, lambda place: f"call_{step}_{place}"))
            case CallTool(call=call):
                caller = await self._authorized()
                name, scope = self._named(caller, call.tool)
                await self._happen(ToolAsked(call=call.id, tool=name, scope=scope, arguments=call.arguments))
                text, is_error = await self._called(caller, name, call.arguments)
                await self._happen(ToolAnswered(call=call.id, tool=name, text=storable(text), is_error=is_error))
            case CheckSchema(answer=answer):
                fault = mismatch(task.schema or {}, _bare(answer), with_rule=True)
                await self._happen(
                    Checked(verdict="passed")
                    if fault is None
                    else Checked(verdict="failed", fault=f"the answer has to match a JSON Schema: {fault}")
                )
            case Ended():
                await self._happen(action)

    async def _called(self, caller: Principal, name: str, arguments: str) -> tuple[str, bool]:
        """What a model is told of a call; that a tool failed is for it to deal with."""
        if name not in self.record.task.tools:
            return f"there is no tool {name}", True
        try:
            result = await self._within(
                self._tools.call(caller, name, arguments, model=self.record.task.model, run=self.record.id)
            )
        except Refused as refused:
            return f"{refused.reason}: {refused}", True
        return told(result), result.is_error

    def _named(self, caller: Principal, told_name: str) -> tuple[str, ToolScope]:
        specs = {spec.name: spec for spec in self._tools.usable(caller) if spec.name in self.record.task.tools}
        name = wire_names(specs).get(told_name, told_name)[:200]
        return (name, specs[name].scope) if name in specs else (storable(name), "read")

    async def _authorized(self) -> Principal:
        """Whom the key speaks for now: it may have been revoked, or lost a scope, since the run began."""
        caller = await self._caller(self.record.holder)
        if caller is None:
            raise Refused("unauthenticated", "the key that this run was begun with is not valid any more")
        return caller

    async def _within(self, work: Awaitable[T]) -> T:
        """Do something within the time of the run. Raises ``TimeoutError``."""
        async with asyncio.timeout(max(0.0, self.record.task.deadline - self._clock())):
            return await work

    async def _happen(self, event: RunEvent) -> None:
        run = apply(self._run, event)
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, STORE_TRIES + 1):
            try:
                await self._store.append(self.record.id, self._owner, event, run, now=self._clock())
            except StoreUnavailable:
                if attempt == STORE_TRIES:
                    raise
                await asyncio.sleep(pause_s)
                pause_s *= 2
            else:
                break
        self._run = run

    async def _end(self, state: Any, reason: str, message: str) -> None:
        await self._happen(Ended(state=state, reason=reason, message=storable(message)))

    async def _events(self) -> list[RunEvent]:
        events: list[RunEvent] = []
        while page := await self._store.events(self.record.id, after=len(events)):
            events += [each.event for each in page]
        return events


def _bare(answer: str) -> str:
    """JSON out of the fence that models like to put around it."""
    text = answer.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    return text
