"""The guardrails of one policy: compiled when the configuration is read, applied to one request at a time.

What of a request is judged: the text of every message, arguments and results of tool calls, descriptions of tools.
Injections are looked for where strangers write: in what users say and tools answer. Thinking and blocks that only one
protocol has are given back to the provider as they are, unread; files, images and sounds are not looked into.

What is redacted of a request is replaced by ``<EMAIL_1>`` and put back where the model writes that. What is redacted
of an answer is replaced by ``<EMAIL>``, for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from holdfast.gateway.core.conversation import Answer, Chat
from holdfast.gateway.core.guard import personal, secrets
from holdfast.gateway.core.guard.detector import Detector, Span
from holdfast.gateway.core.guard.injection import suspicion
from holdfast.gateway.core.guard.judging import Judge, label, rewrite, spoken
from holdfast.gateway.core.guard.places import Place, places, with_texts
from holdfast.gateway.core.guard.scanner import Scanner
from holdfast.gateway.core.guard.schema import mismatch
from holdfast.gateway.core.guard.stream import AnswerGuard
from holdfast.gateway.core.guard.vault import Vault
from holdfast.gateway.core.guard.words import AllowList, Unbounded, deny_detector
from holdfast.gateway.core.ports import Finding
from holdfast.gateway.core.settings import GuardAction, GuardSettings
from holdfast.gateway.errors import Invalid
from holdfast.kernel.settings import Path, Problem

REMOVED = "[removed by a guardrail: this text tried to instruct the model]"


class Policy:
    """A policy, ready for use.

    Args:
        settings: What to look for, and what follows.
        path: Of the settings in the configuration, for messages.
        is_own_key: Whether a text of the form of this project's keys is one.

    Raises:
        Invalid: A pattern cannot be taken, or a number is out of its range.
    """

    def __init__(
        self,
        settings: GuardSettings,
        *,
        path: Path = (),
        is_own_key: Callable[[str], bool] | None = None,
    ) -> None:
        problems: list[Problem] = []

        def wrong(name: str, value: object, message: str, remedy: str) -> None:
            problems.append(Problem(path=(*path, name), value=value, message=message, remedy=remedy))

        if not 0.0 < settings.injection_score <= 1.0:
            wrong("injection_score", settings.injection_score, "out of range", "above 0, at most 1; 0.7 if in doubt")
        if not 16 <= settings.hold_back <= 8192:
            wrong("hold_back", settings.hold_back, "out of range", "16 to 8192 characters")
        detectors: list[Detector] = []
        allow = AllowList(())
        try:
            allow = AllowList(settings.allow)
        except Unbounded as error:
            wrong("allow", settings.allow, str(error), "write a pattern whose repeats are bounded")
        try:
            if settings.deny:
                detectors.append(deny_detector(settings.deny, widest=settings.hold_back))
        except Unbounded as error:
            wrong("deny", settings.deny, str(error), "write a pattern whose repeats are bounded")
        if problems:
            raise Invalid("the guardrails cannot be used", problems)
        if settings.secrets is not None:
            detectors.append(secrets.detector(is_own_key))
        if settings.emails is not None:
            detectors.append(personal.emails())
        if settings.ibans is not None:
            detectors.append(personal.ibans())
        if settings.cards is not None or settings.phones is not None:
            detectors.append(personal.numbers(cards=settings.cards is not None, phones=settings.phones is not None))
        named: dict[str, GuardAction | None] = {
            "deny": "block",
            "secrets": settings.secrets,
            "emails": settings.emails,
            "phones": settings.phones,
            "cards": settings.cards,
            "ibans": settings.ibans,
        }
        self.settings = settings
        self.actions: Mapping[str, GuardAction] = {name: action for name, action in named.items() if action}
        self.allow = allow
        self.before = Scanner(detectors if settings.before else (), allow)
        self.after = Scanner(detectors if settings.after else (), allow)


def guard_for(policy: Policy) -> RequestGuard:
    """The guardrails for one request."""
    return RequestGuard(policy)


class RequestGuard:
    """The guardrails of one policy for one request, and for its answer."""

    __slots__ = ("_format", "_judge", "_policy", "_vault", "findings")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._judge = Judge(policy.actions, fail_closed=policy.settings.fail_closed)
        self._vault = Vault()
        self._format: Mapping[str, Any] | None = None
        self.findings: list[Finding] = self._judge.findings

    def before(self, chat: Chat) -> Chat:
        """The request, redacted where the policy says so. Raises :class:`Refused` (``blocked``)."""
        settings = self._policy.settings
        if chat.format is not None and chat.format.kind == "schema":
            self._format = chat.format.schema
        if not settings.before:
            return chat
        texts = list(places(chat))
        if settings.max_input is not None:
            size = sum(len(place.text.encode("utf-8", "surrogatepass")) for place in texts)
            if size > settings.max_input:
                raise self._judge.block(
                    "max_input", "messages", f"It has {size} bytes of text; {int(settings.max_input)} are allowed."
                )
        changes: dict[str, list[Span] | None] = {}
        for place in texts:
            if not place.text:
                continue
            if place.from_outside and settings.injection is not None and self._is_injection(place):
                changes[place.where] = None
                continue
            spans = self._policy.before.whole(place.text, json=place.is_json, failed=place.failing(self._judge))
            if spans:
                to_replace = self._judge.note(spans, place.where)
                if to_replace:
                    changes[place.where] = to_replace
        if not changes:
            return chat
        self._vault.avoid(place.text for place in texts)
        return with_texts(
            chat,
            {place.where: self._redacted(place, changes[place.where]) for place in texts if place.where in changes},
        )

    def answer(self, answer: Answer) -> Answer:
        """A whole answer: judged, redacted, and what was redacted of the request put back."""
        stream = self.stream()
        if stream.is_idle:
            return answer
        choices = tuple([stream.whole(choice) for choice in answer.choices])
        return answer if choices == answer.choices else replace(answer, choices=choices)

    def stream(self) -> AnswerGuard:
        """For one stream."""
        settings = self._policy.settings
        schema = self._format if settings.after and settings.schema is not None else None
        return AnswerGuard(
            self._policy.after,
            self._judge,
            self._vault,
            max_bytes=settings.max_output if settings.after else None,
            check=None if schema is None else lambda text: self._check(schema, text),
        )

    def _is_injection(self, place: Place) -> bool:
        """Whether this text has to be replaced. Raises :class:`Refused`."""
        settings = self._policy.settings
        try:
            found = suspicion(place.text)
        except Exception:  # noqa: BLE001 - whatever it does, the policy says what that means
            self._judge.failed(place.where)
            return False
        if found.score < settings.injection_score or place.text in self._policy.allow:
            return False
        rules = ", ".join(found.rules)
        if settings.injection == "block":
            raise self._judge.block("injection", place.where, f"Signs: {rules}.", score=found.score)
        self._judge.findings.note("injection", settings.injection or "flag", place.where, score=found.score)
        return settings.injection == "redact"

    def _redacted(self, place: Place, spans: list[Span] | None) -> str:
        if spans is None:
            return REMOVED

        def write(span: Span, found: str) -> str:
            return self._vault.put(label(span.rule), spoken(found, as_json=place.is_json))

        return rewrite(place.text, spans, write)

    def _check(self, schema: Mapping[str, Any], text: str) -> None:
        try:
            wrong = mismatch(schema, text)
        except Exception:  # noqa: BLE001 - a schema that is none, or reaches outside of itself
            self._judge.failed("answer")
            return
        if wrong is not None:
            if self._policy.settings.schema == "block":
                raise self._judge.block(
                    "schema", "answer", f"It does not match the schema that was asked for: {wrong}."
                )
            self._judge.findings.note("schema", "flag", "answer")
