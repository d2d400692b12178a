from __future__ import annotations

import pytest

from holdfast.gateway.core.estimate import (
    IMAGE_TOKENS,
    MODELS,
    OUTPUT_TOKENS,
    UNKNOWN_BYTES,
    Estimator,
    audio_seconds,
    tiktoken_counter,
)


def test_an_unknown_model_is_estimated_by_the_general_figure() -> None:
    assert Estimator().estimate(3600, "m") == 1000


def test_it_learns_what_a_byte_is_worth() -> None:
    estimator = Estimator()
    for _ in range(100):
        assert estimator.learn("m", text_bytes=5000, input_tokens=1000)
    assert estimator.bytes_per_token("m") == pytest.approx(5.0, rel=0.01)
    assert estimator.bytes_per_token("other") == UNKNOWN_BYTES


@pytest.mark.parametrize("tokens", [0, -5, 1, 10**9])
def test_usage_that_cannot_be_is_not_believed(tokens: int) -> None:
    estimator = Estimator()
    assert not estimator.learn("m", text_bytes=4000, input_tokens=tokens)
    assert estimator.bytes_per_token("m") == UNKNOWN_BYTES


def test_one_wrong_usage_moves_it_by_a_few_percent() -> None:
    estimator = Estimator()
    estimator.learn("m", text_bytes=3000, input_tokens=10_000)
    assert estimator.bytes_per_token("m") == pytest.approx(UNKNOWN_BYTES, rel=0.026)


@pytest.mark.parametrize(("tokens", "bound"), [(150, 8.0), (15_000, 1.0)])
def test_a_provider_that_always_lies_reaches_the_bounds_at_most(tokens: int, bound: float) -> None:
    estimator = Estimator()
    for _ in range(2000):
        estimator.learn("m", text_bytes=4000, input_tokens=tokens)
    assert estimator.bytes_per_token("m") == pytest.approx(bound, rel=0.03)
    assert 1.0 <= estimator.bytes_per_token("m") <= 8.0


def test_short_bodies_teach_nothing() -> None:
    assert not Estimator().learn("m", text_bytes=100, input_tokens=80)


def test_images_are_not_read_as_words() -> None:
    estimator = Estimator()
    assert estimator.estimate(4_003_600, "m", images=2, media_bytes=4_000_000) == 1000 + 2 * IMAGE_TOKENS


def test_sound_counts_by_its_length() -> None:
    seconds = audio_seconds(640_020)
    assert seconds == pytest.approx(60.0, rel=0.01)
    assert Estimator().estimate(640_380, "m", media_bytes=640_020, audio_s=60.0) == 100 + 1500


def test_an_estimate_is_never_zero() -> None:
    assert Estimator().estimate(0, "m") == 1
    assert Estimator().estimate(10, "m", media_bytes=20) == 1


def test_the_output_that_is_expected_is_at_most_what_was_asked_for() -> None:
    estimator = Estimator()
    assert estimator.expected_output("m", None) == OUTPUT_TOKENS
    assert estimator.expected_output("m", 16) == 16
    for _ in range(200):
        estimator.learn("m", text_bytes=4000, input_tokens=1000, output_tokens=40)
    assert estimator.expected_output("m", 128_000) == pytest.approx(80, abs=2)


def test_configured_calibration_is_where_learning_starts() -> None:
    estimator = Estimator()
    estimator.calibrate("m", 2.0)
    assert estimator.estimate(2000, "m") == 1000
    estimator.calibrate("m", 100.0)
    assert estimator.bytes_per_token("m") == 8.0


def test_it_remembers_a_bounded_number_of_models() -> None:
    estimator = Estimator()
    for number in range(MODELS + 10):
        estimator.learn(f"m{number}", text_bytes=4000, input_tokens=800)
    assert estimator.bytes_per_token("m0") == UNKNOWN_BYTES
    assert len(estimator._models) == MODELS


def test_exact_counting_says_nothing_about_a_model_that_it_does_not_know() -> None:
    assert tiktoken_counter().count("words", "nobody-9000") is None
