"""A store that is away when the API starts is waited for, not for ever."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.store import StoreError, StoreUnavailable
from holdfast.web.patience import once_it_answers

pytestmark = pytest.mark.anyio


async def test_a_store_that_comes_back_is_used() -> None:
    answers: list[Exception | str] = [StoreUnavailable("away"), StoreUnavailable("still away"), "here"]

    async def work() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await once_it_answers(work, rng=Random(1)) == "here"


async def test_patience_ends() -> None:
    async def work() -> None:
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable, match="away"):
        await once_it_answers(work, rng=Random(1), patience_s=0.01)


async def test_what_waiting_does_not_mend_is_told_at_once() -> None:
    async def work() -> None:
        raise StoreError("newer than the code")

    with pytest.raises(StoreError, match="newer"):
        await once_it_answers(work, rng=Random(1))
