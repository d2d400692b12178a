"""Ranges, forms and combinations of the execution settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from holdfast.execution.core.settings import (
    AdmissionSettings,
    CallbackSettings,
    CeilingSettings,
    ExecutionSettings,
    FairnessSettings,
    LeaseSettings,
    LimitSettings,
    PayloadSettings,
    RetentionSettings,
    ScalingSettings,
    WorkerSettings,
)
from holdfast.execution.core.validate import RANGES, parse_listen, validate
from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Section

S = Duration


def found(**settings: Any) -> list[tuple[str, str]]:
    problems = validate(ExecutionSettings(**settings))
    assert all(problem.remedy for problem in problems)
    return [(".".join(map(str, problem.path)), problem.message) for problem in problems]


def sections(section: Section) -> Iterator[Section]:
    yield section
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from sections(value)


def test_the_defaults_are_sound() -> None:
    assert found() == []


def test_every_number_has_a_range() -> None:
    for section in sections(ExecutionSettings()):
        numbers = {
            name
            for name in section.__struct_fields__
            if isinstance(value := getattr(section, name), float | int) and not isinstance(value, bool)
        }
        assert numbers == set(RANGES.get(type(section), {}))


@pytest.mark.parametrize("section", [type(section) for section in sections(ExecutionSettings())])
def test_both_ends_of_a_range_are_allowed_and_nothing_beyond(section: type[Section]) -> None:
    where = {type(value): name for name, value in msgspec.structs.asdict(ExecutionSettings()).items()}

    def out_of_range(name: str, value: float) -> bool:
        one = section(**{name: value})
        settings = (
            one
            if isinstance(one, ExecutionSettings)
            else msgspec.structs.replace(ExecutionSettings(), **{where[section]: one})
        )
        place = name if section is ExecutionSettings else f"{where[section]}.{name}"
        problems = validate(settings)
        return (place, "out of range") in [(".".join(map(str, problem.path)), problem.message) for problem in problems]

    for name, (low, high) in RANGES.get(section, {}).items():
        assert not out_of_range(name, low)
        assert not out_of_range(name, high)
        assert out_of_range(name, high * 2)
        assert out_of_range(name, low - 1)
        assert out_of_range(name, float("nan"))


def test_a_default_limit_above_its_ceiling_is_refused() -> None:
    outcome = found(limits=LimitSettings(memory=Size(2**30)), ceilings=CeilingSettings(memory=Size(2**29)))
    assert outcome == [("limits.memory", "more than a request may ask for (ceilings.memory is 512MiB)")]


def test_a_payload_that_no_request_can_carry_is_refused() -> None:
    outcome = found(payload=PayloadSettings(source=Size(2**20), stdin=Size(0), body=Size(2**19)))
    assert outcome == [("payload.source", "more than a whole request may have (body is 512KiB)")]


@pytest.mark.parametrize("weight", [0.0, -1.0, 0.0001, 2e6, float("inf"), float("nan")])
def test_a_weight_is_a_positive_number(weight: float) -> None:
    assert found(fairness=FairnessSettings(weights={"a": 1.0, "b": weight})) == [
        ("fairness.weights.b", "out of range"),
    ]


def test_a_lease_must_survive_a_renewal_that_is_lost() -> None:
    assert found(lease=LeaseSettings(duration=S(10.0), renew=S(4.9))) == []
    assert found(lease=LeaseSettings(duration=S(10.0), renew=S(5.0))) == [
        ("lease.renew", "not less than half of the duration (10s)"),
    ]


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"lease": LeaseSettings(backoff_min=S(2.0), backoff_max=S(1.0))}, "lease.backoff_min"),
        ({"callbacks": CallbackSettings(backoff_min=S(2.0), backoff_max=S(1.0))}, "callbacks.backoff_min"),
        ({"retention": RetentionSettings(results=S(200.0), jobs=S(100.0))}, "retention.results"),
        ({"scaling": ScalingSettings(min_workers=9, max_workers=8)}, "scaling.min_workers"),
        ({"admission": AdmissionSettings(tenant_backlog=S(121.0))}, "admission.tenant_backlog"),
    ],
)
def test_the_smaller_of_two_bounds_is_not_the_larger(settings: dict[str, Any], path: str) -> None:
    assert [place for place, _ in found(**settings)] == [path]


@pytest.mark.parametrize("text", ["127.0.0.1:8083", "0.0.0.0:0", "[::]:8083", "[::1]:65535", "runner.internal:80"])
def test_an_address_to_listen_on(text: str) -> None:
    assert found(listen=text) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8083",
        ":8083",
        "127.0.0.1",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "[::1:1",
        "[:::]:1",
        "http://h:1",
        "h:١",
        "a b:1",
    ],
)
def test_what_is_no_address_to_listen_on(text: str) -> None:
    assert [path for path, _ in found(listen=text)] == ["listen"]


def test_an_address_is_read_in_two_parts() -> None:
    assert parse_listen("[::1]:80") == ("::1", 80)
    assert parse_listen("localhost:0") == ("localhost", 0)


@pytest.mark.parametrize("api", ["http://127.0.0.1:8083", "https://runner.internal:443/", "http://[::1]:8083"])
def test_where_a_worker_finds_the_api(api: str) -> None:
    assert found(worker=WorkerSettings(api=api)) == []


@pytest.mark.parametrize(
    "api", ["127.0.0.1:8083", "ftp://h:1", "http://h", "http://h:0", "http://h:1/run", "http://u:p@h:1"]
)
def test_where_a_worker_cannot_find_the_api(api: str) -> None:
    assert [path for path, _ in found(worker=WorkerSettings(api=api))] == ["worker.api"]


def test_workers_of_one_name_would_take_each_others_leases() -> None:
    assert found(worker=WorkerSettings(name="w1")) == []
    assert [path for path, _ in found(worker=WorkerSettings(name="w1", count=2))] == ["worker.name"]
    assert [path for path, _ in found(worker=WorkerSettings(name="no spaces"))] == ["worker.name"]


def test_a_key_that_is_none_is_refused_without_being_shown() -> None:
    (problem,) = validate(ExecutionSettings(worker=WorkerSettings(api_key="hunter2")))
    assert problem.path == ("worker", "api_key")
    assert "hunter2" not in repr(problem)
    assert found(worker=WorkerSettings(api_key="hf_x")) == []


def test_the_rest_of_the_forms() -> None:
    assert [path for path, _ in found(worker=WorkerSettings(cache=""), currency="euro")] == ["worker.cache", "currency"]
