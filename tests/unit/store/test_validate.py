"""The ``store:`` section."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import pytest

from holdfast.kernel import Duration
from holdfast.store import StoreSettings, validate
from holdfast.store.validate import RANGES

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_defaults_are_sound() -> None:
    assert validate(StoreSettings()) == []


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("beyond", [lambda low, _: low - 1, lambda _, high: high + 1, lambda *_: math.nan])
def test_a_value_out_of_range_is_named_with_the_range(name: str, beyond: Callable[..., float]) -> None:
    value = beyond(*RANGES[name])
    settings = msgspec.structs.replace(StoreSettings(), **{name: Duration(value) if name == "deadline" else value})
    (problem,) = validate(settings)
    assert problem.path == (name,)
    assert "write a value from" in problem.remedy


def test_an_address_that_is_none_is_shown_without_what_may_be_secret() -> None:
    (problem,) = validate(StoreSettings(url="mysql://u:secret@h/d"))
    assert problem.path == ("url",)
    assert "secret" not in repr(problem)
    assert "sqlite:PATH" in problem.remedy


def test_every_number_of_the_section_has_a_range() -> None:
    assert {*RANGES, "url"} == set(StoreSettings.__struct_fields__)
