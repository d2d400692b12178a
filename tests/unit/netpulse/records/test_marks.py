"""A mark tells what was taken from what was not, like the set of all numbers would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.netpulse.shell.records.marks import GAPS, Mark

batches = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 15)).map(lambda of: (of[0], of[0] + of[1])), max_size=30
)


@given(batches)
def test_a_number_is_fresh_once_in_whatever_order_batches_come(spans: list[tuple[int, int]]) -> None:
    mark, taken = Mark(), set[int]()
    for first, upto in spans:
        numbers = range(first, upto + 1)
        fresh = {numbers[at] for at in mark.fresh(numbers)}
        assert fresh == set(numbers) - taken
        mark = mark.taken(first, upto)
        taken |= set(numbers)
        assert mark.upto == max(taken)
        missing = [number for begin, end in mark.gaps for number in range(begin, end + 1)]
        assert missing == sorted(set(range(1, mark.upto)) - taken)


@given(batches, st.integers(1, 60), st.integers(0, 15))
def test_taking_twice_is_taking_once(spans: list[tuple[int, int]], first: int, length: int) -> None:
    mark = Mark()
    for span in spans:
        mark = mark.taken(*span)
    once = mark.taken(first, first + length)
    assert once.taken(first, first + length) == once
    assert once.fresh(range(first, first + length + 1)) == []


def test_numbers_that_a_batch_left_out_are_taken_with_it() -> None:
    mark = Mark().taken(1, 9)
    assert mark.fresh([2, 5, 9, 10]) == [3]


def test_the_oldest_of_too_many_gaps_is_closed() -> None:
    mark = Mark()
    for number in range(2, 2 * GAPS + 4, 2):
        mark = mark.taken(number, number)
    assert len(mark.gaps) == GAPS
    assert mark.fresh([1]) == []
    assert mark.fresh([3]) == [0]
