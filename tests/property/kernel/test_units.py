"""What is shown is read back as the same value: `check` prints configurations that can be fed back."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel import Duration, Size


@given(st.floats(min_value=0, max_value=1e15, allow_subnormal=False))
def test_every_duration_survives_being_written_down(seconds: float) -> None:
    assert Duration.parse(str(Duration(seconds))) == seconds


@given(st.integers(min_value=0, max_value=10**9), st.sampled_from(["us", "ms", "s", "m", "h", "d"]))
def test_a_whole_number_of_a_unit_survives_being_written_down(count: int, unit: str) -> None:
    duration = Duration.parse(f"{count}{unit}")
    assert Duration.parse(str(duration)) == duration


@given(st.integers(min_value=0, max_value=2**59))
def test_every_size_survives_being_written_down(count: int) -> None:
    assert Size.parse(str(Size(count))) == count


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    for kind in (Duration, Size):
        refusal = ""
        try:
            assert kind.parse(text) >= 0
        except ValueError as error:
            refusal = str(error)
        assert not refusal or "write a number with a unit" in refusal
