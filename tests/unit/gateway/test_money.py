"""What usage costs: exact, rounded once, upwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.gateway.core import money
from holdfast.gateway.core.settings import PriceSettings
from holdfast.gateway.core.usage import NANO, Price, Usage

# Claude Sonnet 4.5 as published: $3 in, $15 out, $0.30 read, $3.75 and $6 written, twice as much above 200k.
LONG = Price(
    input=6 * NANO,
    output=22_500_000_000,
    cache_read=600_000_000,
    cache_write=7_500_000_000,
    cache_write_long=12 * NANO,
)
SONNET = Price(
    input=3 * NANO,
    output=15 * NANO,
    cache_read=300_000_000,
    cache_write=3_750_000_000,
    cache_write_long=6 * NANO,
    above=200_001,
    long=LONG,
)


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        pytest.param(Usage(), "$0.00", id="nothing"),
        pytest.param(Usage(input_tokens=1_000, output_tokens=500), "$0.0105", id="plain"),
        pytest.param(Usage(input_tokens=1_000, cache_read_tokens=900), "$0.00057", id="read from the cache"),
        pytest.param(Usage(input_tokens=1_000, cache_write_tokens=1_000), "$0.00375", id="written for five minutes"),
        pytest.param(Usage(input_tokens=1_000, cache_write_long_tokens=1_000), "$0.006", id="written for an hour"),
        pytest.param(Usage(output_tokens=500, reasoning_tokens=400), "$0.0075", id="thinking is output"),
        pytest.param(Usage(input_tokens=200_000), "$0.60", id="just not long"),
        pytest.param(Usage(input_tokens=200_001), "$1.200006", id="long: all of it, not only what is above"),
        pytest.param(Usage(input_tokens=10, cache_read_tokens=100), "$0.00003", id="more read than there was"),
        pytest.param(Usage(input_tokens=-5, output_tokens=-5), "$0.00", id="a provider counts backwards"),
    ],
)
def test_each_part_of_the_usage_has_its_own_price(usage: Usage, dollars: str) -> None:
    assert money.usd(money.cost(usage, SONNET)) == dollars


def test_parts_without_a_price_cost_what_the_whole_costs() -> None:
    price = Price(input=NANO, output=2 * NANO)
    usage = Usage(
        input_tokens=100,
        cache_read_tokens=20,
        cache_write_tokens=20,
        cache_write_long_tokens=20,
        audio_input_tokens=20,
        output_tokens=50,
        reasoning_tokens=10,
        audio_output_tokens=10,
    )
    assert money.cost(usage, price) == money.cost(Usage(input_tokens=100, output_tokens=50), price)


def test_sound_pictures_characters_and_requests_are_charged_by_the_piece() -> None:
    price = Price(
        input=NANO,
        output=NANO,
        audio_input=100 * NANO,
        per_image=40_000_000,
        per_second=100_000,
        per_million_characters=15 * NANO,
        per_request=5,
    )
    assert money.cost(Usage(input_tokens=10, audio_input_tokens=10), price) == 1_000_000 + 5
    assert money.cost(Usage(images=2), price) == 80_000_000 + 5
    assert money.cost(Usage(seconds=1.5), price) == 150_000 + 5
    assert money.cost(Usage(characters=1000), price) == 15_000_000 + 5


def test_a_fraction_of_a_nano_dollar_is_rounded_up_once_for_the_whole_attempt() -> None:
    price = Price(input=1, output=1)
    assert money.cost(Usage(input_tokens=1, output_tokens=1), price) == 1
    assert money.cost(Usage(input_tokens=500_000, output_tokens=500_000), price) == 1
    assert money.cost(Usage(input_tokens=500_000, output_tokens=500_001), price) == 2


def test_the_worst_case_is_never_less_than_what_it_comes_to() -> None:
    reserved = money.worst_case(1000, 100, SONNET)
    for usage in (
        Usage(input_tokens=1000, output_tokens=100),
        Usage(input_tokens=1000, cache_write_long_tokens=1000, output_tokens=100),
        Usage(input_tokens=1000, cache_read_tokens=1000, output_tokens=100, reasoning_tokens=100),
    ):
        assert money.cost(usage, SONNET) <= reserved


@pytest.mark.parametrize(
    ("text", "amount"), [("$0.000123", 123_000), ("$12.50", 12_500_000_000), ("-$1.00", -NANO), ("$0.000000001", 1)]
)
def test_amounts_are_shown_exactly(text: str, amount: int) -> None:
    assert money.usd(amount) == text


@pytest.mark.parametrize(("dollars", "amount"), [(0.1, 100_000_000), (0.075, 75_000_000), ("1e-9", 1), (1e-10, 1)])
def test_dollars_are_read_as_they_print(dollars: float | str, amount: int) -> None:
    assert money.nano(dollars) == amount


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf"), "much"])
def test_what_is_no_amount_is_refused(wrong: float | str) -> None:
    with pytest.raises(ValueError, match="no amount of money"):
        money.nano(wrong)


def test_a_configured_price_is_in_dollars_for_a_million_tokens() -> None:
    price = money.configured(PriceSettings(input=0.15, output=0.6, cache_read=0.075))
    assert price == replace(Price(input=150_000_000, output=600_000_000, cache_read=75_000_000), source="configuration")


def test_what_nobody_priced_is_not_free() -> None:
    plain = Price(input=1, output=1)
    assert not money.prices_all(Usage(images=1), plain)
    assert not money.prices_all(Usage(characters=5), plain)
    assert not money.prices_all(Usage(seconds=1.5), plain)
    assert money.prices_all(Usage(images=1, input_tokens=10), plain)
    assert money.prices_all(Usage(images=1), Price(input=1, output=1, per_image=40_000_000))
    assert money.prices_all(Usage(), plain)
