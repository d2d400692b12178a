"""Answers of live traffic, graded as the cases of a set are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.gateway.core.conversation import Chat, Message, Text
from holdfast.gateway.core.evaluation import Case, grade, judge_messages, verdict, weighted
from holdfast.gateway.core.ports import Holder

if TYPE_CHECKING:
    from holdfast.gateway.core.ports import ModelCaller
    from holdfast.gateway.core.settings import GatewaySettings

_JUDGES: Holder = Holder(tenant="gateway", key_id="judge")
"""Who pays for models that judge: the operator, whose doubt it is."""


class Judging:
    """For :attr:`~holdfast.gateway.shell.plane.trials.Trials.judge`."""

    def __init__(self, settings: Callable[[], GatewaySettings], models: ModelCaller) -> None:
        self._settings = settings
        self._models = models

    async def __call__(self, name: str, chat: Chat, text: str) -> float | None:
        """Score an answer by the graders of an evaluation. Raises :class:`~holdfast.gateway.errors.Refused`."""
        evaluation = self._settings().evaluations.get(name)
        if evaluation is None:
            return None
        schema = chat.format.schema if chat.format is not None else None
        asked = [
            {"role": message.role, "content": "".join(part.text for part in message.parts if isinstance(part, Text))}
            for message in chat.messages
        ]
        case = Case(messages=asked, schema=dict(schema) if schema is not None else None)
        scores: list[tuple[float, float | None]] = []
        for grader in evaluation.graders:
            score = grade(grader, case, text)
            if grader.kind == "model" and grader.model is not None:
                messages = tuple(
                    Message(role="system" if each["role"] == "system" else "user", parts=(Text(text=each["content"]),))
                    for each in judge_messages(case, text, grader.prompt)
                )
                asks = Chat(protocol="openai", model=grader.model, messages=messages, temperature=0.0, max_tokens=300)
                answer, _ = await self._models.complete(_JUDGES, asks)
                parts = answer.choices[0].parts if answer.choices else ()
                score = verdict("".join(part.text for part in parts if isinstance(part, Text)))
            scores.append((grader.weight, score))
        return weighted(scores)
