"""A record is believed only as far as its samples go."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from holdfast.evidence import Claim, RecordInconsistentError, verify
from tests.unit.evidence.records import small_record


def test_a_record_made_from_its_samples_is_consistent() -> None:
    verify(small_record())


@pytest.mark.parametrize("part", ["value", "low", "high"])
def test_a_metric_that_its_samples_do_not_give_is_an_error(part: str) -> None:
    record = small_record()
    forged = msgspec.structs.replace(record.metrics["holdfast.cpu_us"], **{part: 0.5})
    record.metrics["holdfast.cpu_us"] = forged
    with pytest.raises(RecordInconsistentError, match=r"holdfast\.cpu_us.* says 0\.5"):
        verify(record)


def test_the_control_is_recomputed_too() -> None:
    record = small_record()
    assert record.control is not None
    metric = record.control.metrics["attempts_per_request"]
    record.control.metrics["attempts_per_request"] = msgspec.structs.replace(metric, value=99.0)
    with pytest.raises(RecordInconsistentError, match="control: attempts_per_request says 99"):
        verify(record)


def test_a_verdict_that_the_metric_does_not_carry_is_an_error() -> None:
    record = small_record(attempts=20)
    assert not record.claims[0].holds
    flattering = msgspec.structs.replace(record.claims[0], holds=True)
    with pytest.raises(RecordInconsistentError, match="few attempts"):
        verify(msgspec.structs.replace(record, claims=(flattering,)))


def test_a_claim_about_nothing_is_an_error() -> None:
    claim = Claim.judge("faster", "holdfast.absent", "<=", 1.0, None)
    with pytest.raises(RecordInconsistentError, match=r"holdfast\.absent"):
        verify(msgspec.structs.replace(small_record(), claims=(claim,)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"duration_s": -1.0}, "it lasted -1"),
        ({"started": dt.datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001  # that is the fault
        ({"parameters": {"rate_per_s": float("nan")}}, "parameter rate_per_s is nan"),
        ({"argv": ("holdfast", "drill", "run", "flapping", "--seed", "77")}, "its seed is 7"),
        ({"quick": True}, "a quick run"),
    ],
)
def test_circumstances_that_no_run_can_have_had_are_an_error(changed: dict[str, object], said: str) -> None:
    with pytest.raises(RecordInconsistentError, match=said):
        verify(msgspec.structs.replace(small_record(), **changed))


def test_an_undefined_value_holds_no_claim() -> None:
    assert not Claim.judge("faster", "m", ">=", 0.0, None).holds


def test_a_quick_run_fails_only_what_a_quick_run_can_judge() -> None:
    assert [claim.claim for claim in small_record(attempts=20).failed_claims()] == ["few attempts"]
    quick = small_record(attempts=20, quick=True)
    assert quick.failed_claims() == ()
    judged = msgspec.structs.replace(quick.claims[0], in_quick=True)
    assert msgspec.structs.replace(quick, claims=(judged,)).failed_claims() == (judged,)
