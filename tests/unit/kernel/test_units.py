"""Durations and sizes as people write them."""

import pytest

from holdfast.kernel import Duration, Size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("250ms", 0.25), ("10s", 10.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("7us", 7e-6), (" 2d ", 172800.0)],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert Duration.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "10 s", "-1s", "1S", "s", "1e3s", "1.s", ".5s", "١s", "nan", "9" * 400 + "d"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("512B", 512), ("64KiB", 65536), ("1.5GiB", 3 * 2**29), ("2kB", 2000), ("1TiB", 2**40)],
)
def test_a_size_is_read_as_bytes(text: str, count: int) -> None:
    assert Size.parse(text) == count


@pytest.mark.parametrize("text", ["", "10", "10 B", "-1B", "1kib", "KiB", "1e3B", "9" * 400 + "B"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        Size.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0"),
        (0.1, "100ms"),
        (0.3, "300ms"),
        (60.0, "1m"),
        (90.0, "90s"),
        (86400.0, "1d"),
        (7e-6, "7us"),
        (1.5, "1500ms"),
    ],
)
def test_a_duration_is_shown_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert str(Duration(seconds)) == text
    assert f"{Duration(seconds)}" == text


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (1023, "1023B"), (1024, "1KiB"), (3 * 2**29, "1536MiB")])
def test_a_size_is_shown_in_its_largest_whole_unit(count: int, text: str) -> None:
    assert str(Size(count)) == text
