"""What agents say is looked at before anything is made of it."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from holdfast.netpulse.core.protocol import Ask, Batch, Sight, unsound_ask, unsound_batch
from holdfast.netpulse.core.result import Outcome, Phases, Result

NOW = 1_790_000_000.0
RESULT = Result(monitor="t/web", seq=1, at=NOW, outcome=Outcome.UP, total_ms=5.0, phases=Phases(connect=1.0))
BATCH = Batch(agent="eu", region="eu", spool="s", now=NOW, results=(RESULT,))
ASK = Ask(agent="eu", region="eu", epoch="e", now=NOW, sight=Sight(blind=False, since=NOW))


def with_result(**fields: Any) -> Batch:
    return msgspec.structs.replace(BATCH, results=(msgspec.structs.replace(RESULT, **fields),))


def test_a_batch_as_agents_send_it_is_sound() -> None:
    assert unsound_batch(BATCH) == ""
    assert unsound_batch(with_result(cert_days=-3.0, status=-9)) == ""


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["at", "total_ms", "cert_days"])
def test_a_figure_that_is_no_number_is_refused(field: str, figure: float) -> None:
    assert "no number" in unsound_batch(with_result(**{field: figure}))
    assert "no number" in unsound_batch(with_result(phases=Phases(tls=figure)))
    assert "no number" in unsound_batch(msgspec.structs.replace(BATCH, now=figure))


@pytest.mark.parametrize(
    "fields",
    [
        {"total_ms": -1.0},
        {"total_ms": 1e308},
        {"phases": Phases(connect=-1.0)},
        {"phases": Phases(tls=1e300)},
        {"cert_days": 1e300},
        {"status": 2**40},
    ],
)
def test_a_figure_that_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    assert unsound_batch(with_result(**fields)).startswith("result 0: ")


@pytest.mark.parametrize("numbers", [(0,), (-5,), (2**63,), (1, 1), (2, 1)])
def test_numbers_rise_from_one(numbers: tuple[int, ...]) -> None:
    results = tuple(msgspec.structs.replace(RESULT, seq=number) for number in numbers)
    assert "rise" in unsound_batch(msgspec.structs.replace(BATCH, results=results))


@pytest.mark.parametrize("spool", ["", "x" * 65, "a\x00b", "a\nb"])
def test_a_spool_has_a_short_printable_name(spool: str) -> None:
    assert "spool" in unsound_batch(msgspec.structs.replace(BATCH, spool=spool))


def test_a_batch_has_results() -> None:
    assert unsound_batch(msgspec.structs.replace(BATCH, results=()))


@pytest.mark.parametrize(
    "fields",
    [{"now": math.nan}, {"sight": Sight(blind=True, since=math.inf)}, {"epoch": "x" * 65}, {"spooled": -1}],
)
def test_a_question_that_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    assert unsound_ask(ASK) == ""
    assert unsound_ask(msgspec.structs.replace(ASK, **fields))
