"""An evaluation set, asked of a model through the gateway, as any client would."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp

from holdfast.gateway.core.evaluation import (
    Case,
    Summary,
    differences,
    grade,
    judge_messages,
    read_cases,
    summary,
    verdict,
    weighted,
)
from holdfast.gateway.core.settings import EvaluationSettings
from holdfast.gateway.errors import GatewayError, Invalid

CASES_BYTES: Final = 64 * 1024 * 1024
_RETRIES: Final = 0.2
"""Retries over all, as a share of the cases: the gateway has its own; this is for when it is full."""
_ANSWER_S: Final = 300.0
_PAUSE_S: Final = 1.0


class EvaluationError(GatewayError):
    """The gateway cannot be asked at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """One case."""

    id: str
    score: float | None
    """``None``: there was no answer, or no grader had an opinion."""
    error: str = ""
    duration_s: float = 0.0
    deployment: str = ""
    cost_usd: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a set."""

    evaluation: str
    model: str
    cases: tuple[Graded, ...]
    summary: Summary
    """A case that was not answered scores 0."""
    against: str | None = None
    difference: Summary | None = None
    """Of the score, case by case, against that model."""


async def read_set(settings: EvaluationSettings) -> list[Case]:
    """The cases. Raises :class:`~holdfast.gateway.errors.Invalid`."""
    try:
        return await asyncio.to_thread(_read, Path(settings.cases))
    except (OSError, ValueError) as error:
        raise Invalid(f"{settings.cases}: {error}") from error


async def run(
    name: str,
    settings: EvaluationSettings,
    model: str,
    *,
    url: str,
    key: str,
    rng: Random,
    against: str | None = None,
    concurrency: int = 4,
) -> Report:
    """Ask every case, grade every answer. Raises :class:`EvaluationError` and ``Invalid``."""
    cases = await read_set(settings)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S, connect=5.0)
    async with aiohttp.ClientSession(url.rstrip("/") + "/", headers=headers, timeout=timeout) as session:
        asker = _Asker(session, settings, concurrency, max(1, int(len(cases) * _RETRIES)))
        graded = await asker.all(model, cases)
        others = await asker.all(against, cases) if against is not None else []
    difference = None
    if others:
        pairs = differences(_scores(graded), _scores(others))
        difference = summary(pairs, rng) if pairs else None
    return Report(
        evaluation=name,
        model=model,
        cases=tuple(graded),
        summary=summary(list(_scores(graded).values()), rng),
        against=against,
        difference=difference,
    )


class _Asker:
    def __init__(
        self, session: aiohttp.ClientSession, settings: EvaluationSettings, concurrency: int, retries: int
    ) -> None:
        self._session = session
        self._settings = settings
        self._places = asyncio.Semaphore(concurrency)
        self._retries = retries

    async def all(self, model: str, cases: Sequence[Case]) -> list[Graded]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._case(model, case), name=f"case {case.id}") for case in cases]
        return [task.result() for task in tasks]

    async def _case(self, model: str, case: Case) -> Graded:
        async with self._places:
            began = asyncio.get_running_loop().time()
            try:
                text, headers = await self._ask(model, case.messages)
                score = await self._grade(case, text)
            except EvaluationError as error:
                return Graded(id=case.id, score=None, error=str(error))
            return Graded(
                id=case.id,
                score=score,
                error="" if score is not None else "no grader had anything to go by",
                duration_s=asyncio.get_running_loop().time() - began,
                deployment=headers.get("x-holdfast-deployment", ""),
                cost_usd=headers.get("x-holdfast-cost", ""),
            )

    async def _grade(self, case: Case, text: str) -> float | None:
        scores: list[tuple[float, float | None]] = []
        for grader in self._settings.graders:
            score = grade(grader, case, text)
            if grader.kind == "model" and grader.model is not None:
                said, _ = await self._ask(grader.model, judge_messages(case, text, grader.prompt), temperature=0)
                score = verdict(said)
                if score is None:
                    raise EvaluationError(f"{grader.model} gave no verdict: {said[:80]!r}")
            scores.append((grader.weight, score))
        return weighted(scores)

    async def _ask(self, model: str, messages: Sequence[Any], **fields: Any) -> tuple[str, dict[str, str]]:
        body = {"model": model, "messages": list(messages), **fields}
        while True:
            try:
                async with self._session.post("v1/chat/completions", json=body) as answer:
                    told = await answer.json(content_type=None)
                    headers = {name.lower(): value for name, value in answer.headers.items()}
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise EvaluationError(f"no answer of the gateway: {str(error) or type(error).__name__}") from error
            if status == 200:
                return _words(told), headers
            if headers.get("x-should-retry") != "true" or self._retries <= 0:
                raise EvaluationError(f"{status}: {_error(told)}")
            self._retries -= 1
            await asyncio.sleep(_pause(headers.get("retry-after-ms", "")))


def _read(path: Path) -> list[Case]:
    if path.stat().st_size > CASES_BYTES:
        raise ValueError(f"has more than {CASES_BYTES} bytes")
    return read_cases(path.read_text(encoding="utf-8"))


def _scores(graded: Sequence[Graded]) -> dict[str, float]:
    return {each.id: each.score or 0.0 for each in graded}


def _words(told: Any) -> str:
    try:
        return str(told["choices"][0]["message"]["content"] or "")
    except (KeyError, IndexError, TypeError) as error:
        raise EvaluationError("the answer is no chat completion") from error


def _error(told: Any) -> str:
    try:
        return str(told["error"]["message"])[:300]
    except (KeyError, TypeError):
        return "no reason given"


def _pause(milliseconds: str) -> float:
    return min(30.0, int(milliseconds) / 1000) if milliseconds.isdigit() else _PAUSE_S
