"""Candidates and shadows: which requests they get, and what is learned of them.

A canary stands before the model's own deployments for its share of the requests, and they stand behind it when it
fails; what counts, for it and for them, is the first attempt of a request alone, so that nobody is credited with what
another one repaired. A shadow gets a copy of a request whose answer is whole already: whatever becomes of the copy, the
client has what it asked for.

Copies are nobody's request. They take no retry and no place that somebody waits for, are in no metric of requests, and
are paid by ``shadow:TENANT``: a tenant that no key belongs to, for which ``limits.tenants`` may set a budget.
"""

from __future__ import annotations

import asyncio
import logging
from copy import copy
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from holdfast.gateway.core.canary import Canary, Going, RolledBack, Verdict, sampled
from holdfast.gateway.core.conversation import Answer, BlockStarted, Delta, Text
from holdfast.gateway.core.deployments import name_of
from holdfast.gateway.core.outcome import BLAMELESS
from holdfast.gateway.core.ports import Chosen, Holder
from holdfast.gateway.core.routing import Route
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.plane.inner import InnerCall
from holdfast.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from holdfast.gateway.core.canary import Side
    from holdfast.gateway.core.conversation import Chat, Event
    from holdfast.gateway.core.settings import CanarySettings, GatewaySettings, ShadowSettings
    from holdfast.gateway.shell.plane.ask import Ask
    from holdfast.gateway.shell.plane.call import Call
    from holdfast.gateway.shell.plane.gateway import Gateway
    from holdfast.gateway.shell.plane.making import Made
    from holdfast.store import Database, Tx

    Hearing = Callable[[Sequence[Event]], None]
    Judge = Callable[[str, Chat, str], Awaitable[float | None]]

log = logging.getLogger(__name__)

COMPONENT: Final = "gateway.trials"
VERSIONS: Final = (
    (
        """CREATE TABLE gateway_canaries (
            id TEXT PRIMARY KEY,              -- hash of the model's name and the canary's settings
            model TEXT NOT NULL,
            deployment TEXT NOT NULL,
            at {float} NOT NULL,
            verdict {blob} NOT NULL           -- reason and figures of a roll-back; JSON
        )""",
    ),
)
_LOOK_S: Final = 10.0
"""How often the store is asked whether another gateway has rolled a candidate back."""
_ANSWER_CHARACTERS: Final = 65_536
"""Most of an answer that is kept to be graded; a longer one is not graded."""
_GRADED: Final = 0.25
"""Share of the candidate's answers that are graded: graders may be models, and cost money."""
_GRADING: Final = 4
"""Answers that are graded at once; those that come meanwhile are not."""
_FIELDS: Final = (b"anthropic-version", b"anthropic-beta", b"openai-beta")


class Placed:
    """What a request is to the trials of its model."""

    __slots__ = ("attempt", "hears", "running", "shadow", "side")

    def __init__(self, running: _Running | None, side: Side, shadow: _Shadow | None) -> None:
        self.running = running
        self.side = side
        self.shadow = shadow
        self.attempt = ""
        """Its first one: the only one that counts."""
        self.hears: _Hears | None = None


@dataclass(slots=True)
class _Running:
    """A canary of this configuration."""

    id: str
    model: str
    deployment: str
    settings: CanarySettings
    canary: Canary
    told: str = "going"
    graded: int = 0


class _Shadow:
    """What is known of a shadow."""

    __slots__ = (
        "copies", "cost_nano", "deployment", "first_token_s", "in_flight", "input_tokens", "outcomes", "output_tokens",
        "settings", "skipped", "timed",
    )  # fmt: skip

    def __init__(self, settings: ShadowSettings, deployment: str) -> None:
        self.settings = settings
        self.deployment = deployment
        self.in_flight = 0
        self.copies = 0
        self.skipped = 0
        """Sampled, and not sent: too many in flight, no place, or no money."""
        self.outcomes: dict[str, int] = {}
        self.cost_nano = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.first_token_s = 0.0
        self.timed = 0

    def count(self, made: Made) -> None:
        """A copy is over."""
        self.copies += 1
        self.outcomes[made.outcome] = self.outcomes.get(made.outcome, 0) + 1
        self.cost_nano += made.cost_nano or 0
        usage = made.usage
        if usage is not None:
            self.input_tokens += usage.input_tokens
            self.output_tokens += usage.output_tokens
        if made.attempt.first_token_s is not None:
            self.timed += 1
            self.first_token_s += made.attempt.first_token_s

    def state(self) -> dict[str, Any]:
        return {
            "deployment": self.deployment,
            "percent": self.settings.percent,
            "copies": self.copies,
            "skipped": self.skipped,
            "in_flight": self.in_flight,
            "outcomes": dict(self.outcomes),
            "cost_nano": self.cost_nano,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "first_token_mean_s": self.first_token_s / self.timed if self.timed else None,
        }


class _Hears:
    """The words of one answer's first choice, as far as they are kept."""

    __slots__ = ("_is_text", "characters", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.characters = 0
        self._is_text: set[int] = set()

    def hear(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, BlockStarted) and event.kind == "text" and event.choice == 0:
                self._is_text.add(event.index)
            elif isinstance(event, Delta) and event.choice == 0 and event.index in self._is_text:
                self.characters += len(event.text)
                if self.characters <= _ANSWER_CHARACTERS:
                    self.words.append(event.text)


class _Copy(InnerCall):
    """The call of a copy: without a client, but with what the protocol says beside the body."""

    def __init__(self, original: Call) -> None:
        super().__init__(
            original.client.gateway, original.request_id, replace(original.seen, attempts=[], path="shadow")
        )
        self._fields = {name: original.field(name) for name in _FIELDS}

    def field(self, name: bytes) -> str:
        """Of the original, where it matters to a provider."""
        return self._fields.get(name, "")


class Trials:
    """All canaries and shadows of one configuration."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._running: dict[str, _Running] = {}
        self._shadows: dict[str, _Shadow] = {}
        self._known: dict[str, RolledBack] = {}
        """Roll-backs of the store, by the hash of what was rolled back."""
        self._database: Database | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._look_due = 0.0
        self._grading = 0
        self.judge: Judge | None = None
        """Scores an answer by the evaluation of a name, between 0 and 1; ``None`` where it cannot tell."""
        self.reconfigure(gateway.settings)

    async def open(self, database: Database) -> None:
        """Learn what was rolled back before. Raises ``StoreError``."""
        await database.migrate(COMPONENT, VERSIONS)
        self._database = database
        await self._look()

    async def close(self) -> None:
        """Give up copies and gradings under way; roll-backs are written."""
        self._database, database = None, self._database
        for task in self._tasks:
            if task.get_name() != "write a roll-back down" or database is None:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_idle(self) -> None:
        """Until no copy, no grading and no writing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Take other settings. A canary whose own did not change goes on with what it knows; another begins anew."""
        running: dict[str, _Running] = {}
        shadows: dict[str, _Shadow] = {}
        for model, entry in settings.models.items():
            if (canary := entry.canary) is not None:
                id = _id(model, canary)
                before = self._running.get(model)
                deployment = name_of(settings, canary.deployment)
                if before is None or before.id != id:
                    begun = Canary(canary, model, rolled_back=self._known.get(id))
                    before = _Running(id, model, deployment, canary, begun)
                    before.told = _word(begun.verdict)
                before.deployment = deployment
                running[model] = before
            if (shadow := entry.shadow) is not None:
                deployment = name_of(settings, shadow.deployment)
                kept = self._shadows.get(model)
                if kept is None or (kept.settings, kept.deployment) != (shadow, deployment):
                    kept = _Shadow(shadow, deployment)
                shadows[model] = kept
        self._running, self._shadows = running, shadows

    # On the way of a request.

    def place(self, ask: Ask) -> None:
        """Decide which side a request is on, and whether it is copied. A candidate becomes its first tier."""
        running, shadow = self._running.get(ask.model), self._shadows.get(ask.model)
        if running is None and shadow is None:
            return
        side: Side = "baseline"
        if running is not None:
            side = running.canary.side(_user(ask), self._gateway.rng.random())
            if side == "candidate":
                own = ask.route
                tiers = tuple(
                    kept for tier in own.tiers if (kept := tuple(name for name in tier if name != running.deployment))
                )
                removed = len(own.tiers) - len(tiers)
                ask.route = replace(own, tiers=((running.deployment,), *tiers), own=own.own + 1 - removed)
        if shadow is not None and not (
            ask.endpoint.kind == "chat" and sampled(shadow.settings.percent, ask.call.request_id.encode())
        ):
            shadow = None
        if running is not None or shadow is not None:
            ask.trial = Placed(running, side, shadow)

    def begun(self, made: Made) -> None:
        """An attempt of a placed request is made."""
        placed = made.ask.trial
        if placed is not None and not placed.attempt:
            placed.attempt = made.attempt.id

    def hearing(self, made: Made, seen: Hearing | None) -> Hearing | None:
        """Who hears the answer of an attempt besides the client: where it is going to be graded, we do too."""
        placed = made.ask.trial
        if placed is None or placed.attempt or not self._grades(made, placed):
            return seen
        placed.hears = hears = _Hears()
        if seen is None:
            return hears.hear

        def both(events: Sequence[Event]) -> None:
            seen(events)
            hears.hear(events)

        return both

    def ended(self, made: Made) -> None:
        """An attempt is over."""
        placed = made.ask.trial
        if placed is None:
            return
        running = placed.running
        if running is not None and made.attempt.id == placed.attempt:
            self._observe(made, running, placed)
        if placed.shadow is not None and made.outcome == "ok":
            shadow, placed.shadow = placed.shadow, None
            self._copy(made.ask, shadow)

    def beat(self, now: float) -> None:
        """Look after other gateways' verdicts now and then."""
        if now >= self._look_due and self._database is not None and self._running:
            self._look_due = now + _LOOK_S
            self._start(self._look(), "look for roll-backs")

    def state(self) -> dict[str, Any]:
        """By model: the canary with its verdict, and the shadow with its figures."""
        models: dict[str, dict[str, Any]] = {}
        for model, running in self._running.items():
            verdict = running.canary.verdict
            models.setdefault(model, {})["canary"] = {
                "deployment": running.deployment,
                "percent": running.settings.percent,
                "verdict": _word(verdict),
                "graded": running.graded,
                **asdict(verdict),
            }
        for model, shadow in self._shadows.items():
            models.setdefault(model, {})["shadow"] = shadow.state()
        return models

    # Canaries.

    def _observe(self, made: Made, running: _Running, placed: Placed) -> None:
        attempt, outcome = made.attempt, made.outcome
        is_candidate = made.deployment.name == running.deployment
        if outcome in BLAMELESS or attempt.stale or is_candidate != (placed.side == "candidate"):
            return
        now = self._gateway.clock()
        first_token_s = attempt.first_token_s
        if outcome == "cancelled" and first_token_s is None:
            if made.ask.call.gone:
                return  # the client did not wait: that says nothing
            first_token_s = now - attempt.began  # a hedge won: it would have taken at least this long
        verdict = running.canary.observe(
            placed.side,
            failed=outcome not in ("ok", "cancelled"),
            now=now,
            first_token_s=first_token_s,
            cost_nano=made.cost_nano if outcome == "ok" else None,
        )
        if _word(verdict) != running.told:
            self._tell(running, verdict)
        if outcome == "ok" and is_candidate:
            self._grade(made, running, placed)

    def _tell(self, running: _Running, verdict: Verdict) -> None:
        running.told = _word(verdict)
        fields = {"model": running.model, "deployment": running.deployment}
        if isinstance(verdict, RolledBack):
            log.warning(
                "a candidate was rolled back",
                extra={"action": "canary_rolled_back", **fields, "rule": verdict.reason, **verdict.figures},
            )
            self._known[running.id] = verdict
            if self._database is not None:
                self._start(self._write(self._database, running, verdict), "write a roll-back down")
        else:
            log.info("a candidate has passed", extra={"action": "canary_passed", **fields, **asdict(verdict)})

    async def _write(self, database: Database, running: _Running, verdict: RolledBack) -> None:
        row = (running.id, running.model, running.deployment, self._gateway.wall(), msgspec.json.encode(verdict))

        def work(tx: Tx) -> None:
            tx.run(
                "INSERT INTO gateway_canaries (id, model, deployment, at, verdict) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                *row,
            )

        try:
            await database.write(work)
        except StoreError as error:
            log.error(  # noqa: TRY400 - the store is away, which is no bug of ours
                "a roll-back was not written down and is forgotten by a restart: %s",
                error,
                extra={"action": "canary_unwritten", "model": running.model},
            )

    async def _look(self) -> None:
        database = self._database
        if database is None:
            return
        try:
            rows = await database.read(lambda tx: tx.all("SELECT id, verdict FROM gateway_canaries"))
        except StoreError as error:
            log.warning("roll-backs could not be read: %s", error, extra={"action": "canary_unread"})
            return
        self._known = self._known | {str(id): RolledBack(**msgspec.json.decode(told)) for id, told in rows}
        for running in self._running.values():
            known = self._known.get(running.id)
            if known is not None and not isinstance(running.canary.verdict, RolledBack):
                running.canary.verdict = known
                running.told = _word(known)

    # Grading.

    def _grades(self, made: Made, placed: Placed) -> bool:
        running = placed.running
        return (
            running is not None
            and self.judge is not None
            and running.settings.evaluation is not None
            and made.ask.endpoint.kind == "chat"
            and made.deployment.name == running.deployment
            and self._gateway.rng.random() < _GRADED
        )

    def _grade(self, made: Made, running: _Running, placed: Placed) -> None:
        """Have an answer of the candidate judged, when nobody waits for it any more."""
        judge, name = self.judge, running.settings.evaluation
        if judge is None or name is None or self._grading >= _GRADING:
            return
        if placed.hears is not None and placed.hears.characters <= _ANSWER_CHARACTERS:
            text = "".join(placed.hears.words)
        elif made.attempt.reading is None and self._grades(made, placed):
            try:
                answer = made.answer or made.dialect.read_answer(msgspec.json.decode(made.attempt.body))
            except (ValueError, Refused):
                return
            text = words_of(answer)
        else:
            return
        self._grading += 1
        self._start(self._judged(judge, name, running, made.ask.chat, text), "grade an answer")

    async def _judged(self, judge: Judge, name: str, running: _Running, chat: Chat, text: str) -> None:
        try:
            score = await judge(name, chat, text)
        except Refused as refused:
            log.warning(
                "an answer was not graded: %s", refused, extra={"action": "canary_ungraded", "evaluation": name}
            )
            return
        finally:
            self._grading -= 1
        if score is not None:
            running.graded += 1
            running.canary.score(score)

    # Shadows.

    def _copy(self, ask: Ask, shadow: _Shadow) -> None:
        if shadow.in_flight >= shadow.settings.max_in_flight:
            shadow.skipped += 1
            return
        shadow.in_flight += 1
        self._start(self._shadowed(ask, shadow), "send a copy to a shadow")

    async def _shadowed(self, original: Ask, shadow: _Shadow) -> None:
        gateway = self._gateway
        try:
            ask = copy(original)
            ask.call = cast("Call", _Copy(original.call))
            ask.trial = ask.guard = ask.teller = ask.transcript = ask.encoder = None
            ask.keeps_answer = False
            ask.holder = Holder(tenant=f"shadow:{original.holder.tenant}", key_id="shadow")
            ask.route = Route(model=original.model, tiers=((shadow.deployment,),), own=1, settings=None)
            ask.need = replace(original.need, priority="batch")
            now = gateway.clock()
            chosen = gateway.fleet.choose(ask.route.tiers, ask.need, tried=(), now=now)
            if not isinstance(chosen, Chosen):
                shadow.skipped += 1
                return
            deadline = now + gateway.settings.timeouts.answer
            made = await gateway.make(ask, chosen, deadline=deadline, hedge=False, fresh=False, shadow=True)
            attempt = made.attempt
            try:
                attempt.start()
                if await attempt.committed and attempt.reading is not None:
                    attempt.attach(lambda data: None)  # noqa: ARG005 - thrown away
                await attempt.ended
            finally:
                attempt.give_up()
            shadow.count(made)
        except Refused as refused:
            shadow.skipped += 1
            log.info("a copy was not sent: %s", refused, extra={"action": "shadow", "deployment": shadow.deployment})
        finally:
            shadow.in_flight -= 1

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error, extra={"action": "trial"})


def words_of(answer: Answer) -> str:
    """The text of the first choice."""
    return "".join(part.text for choice in answer.choices[:1] for part in choice.parts if isinstance(part, Text))


def _user(ask: Ask) -> bytes:
    """Who sticks to a side: the user that the request or the key names.

    A key without a user is a service, whose requests are many people's: all of them on one side would make of five
    percent of the traffic nothing or everything.
    """
    names = ("metadata",) if ask.endpoint.protocol == "anthropic" else ("user", "safety_identifier")
    for name in names:
        found = ask.raw.get(name)
        if found is not None:
            return ask.holder.tenant.encode() + b"/" + bytes(found)[:512]
    return f"{ask.holder.tenant}/{ask.holder.user}".encode() if ask.holder.user else b""


def _id(model: str, settings: CanarySettings) -> str:
    told: Mapping[str, Any] = {"model": model, "canary": msgspec.to_builtins(settings)}
    return sha256(msgspec.json.encode(told, order="deterministic")).hexdigest()[:32]


def _word(verdict: Verdict) -> str:
    if isinstance(verdict, RolledBack):
        return "rolled_back"
    return "going" if isinstance(verdict, Going) else "passed"
