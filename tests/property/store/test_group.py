"""Whatever fails in a group: who is told that it is kept, is kept, and nobody else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from hypothesis import given
from hypothesis import strategies as st

from holdfast.store import StoreConflict, StoreError, StoreUnavailable
from holdfast.store.group import ATTEMPTS, Call, Link, TryAgain, commit

if TYPE_CHECKING:
    import asyncio

    from holdfast.store import Tx


class ScriptedLink:
    """A store that is a set, and fails at the steps that the script says."""

    dialect = "sqlite"

    def __init__(self, script: dict[int, type[StoreError]]) -> None:
        self.failure: StoreError | None = None
        self.notes: list[tuple[str, str]] = []
        self.kept: set[int] = set()
        self._script = script
        self._step = 0
        self._changed: set[int] = set()
        self._marked: set[int] = set()
        self._begun = False

    def run(self, sql: str, *values: Any) -> int:
        assert self._begun
        self._may_fail(statement=True)
        self._changed.add(values[0])
        return 1

    def begin(self) -> None:
        assert not self._begun
        self.failure, self.notes, self._changed = None, [], set()
        self._may_fail()
        self._begun = True

    def commit(self) -> None:
        assert self._begun
        self._begun = False
        self._may_fail()
        self.kept |= self._changed

    def rollback(self) -> None:
        self._begun = False
        self._changed = set()

    def savepoint(self) -> None:
        self.failure = None
        self._may_fail()
        self._marked = set(self._changed)

    def release(self) -> None:
        self._may_fail()

    def undo(self) -> None:
        self._may_fail()
        self._changed = self._marked

    def _may_fail(self, *, statement: bool = False) -> None:
        self._step += 1
        if (kind := self._script.get(self._step)) is not None:
            error = kind(f"step {self._step}")
            if statement:
                self.failure = error
            raise error


class Answered:
    """As much of a future as a group looks at."""

    def __init__(self, gone: bool) -> None:
        self._gone = gone

    def done(self) -> bool:
        return self._gone


works = st.lists(st.sampled_from(["good", "good", "good", "raises", "swallows", "gone"]), min_size=1, max_size=6)
scripts = st.dictionaries(
    st.integers(1, 40), st.sampled_from([TryAgain, StoreUnavailable, StoreConflict, StoreError]), max_size=4
)


@given(kinds=works, script=scripts)
def test_an_answer_is_true_and_everybody_gets_one(kinds: list[str], script: dict[int, type[StoreError]]) -> None:
    link = ScriptedLink(script)

    def work(number: int, kind: str) -> Any:
        def runs(tx: Tx) -> int:
            link.notes.append(("jobs", str(number)))
            if kind == "swallows":
                try:
                    tx.run("add", number)
                except StoreError:
                    return number
            else:
                tx.run("add", number)
            if kind == "raises":
                raise LookupError
            return number

        return runs

    calls = [
        Call(work(number, kind), cast("asyncio.Future[Any]", Answered(kind == "gone")), 0.0)
        for number, kind in enumerate(kinds)
    ]
    notes = commit(cast("Link", link), calls)

    done = {number for number, call in enumerate(calls) if call.error is None and kinds[number] != "gone"}
    assert done == link.kept
    assert {int(payload) for _, payload in notes} == link.kept
    assert all(calls[number].result == number for number in done)
    assert not any(kind == "raises" and number in done for number, kind in enumerate(kinds))
    if not script:
        assert done == {number for number, kind in enumerate(kinds) if kind in {"good", "swallows"}}


def test_work_that_always_has_to_try_again_is_given_up() -> None:
    link = ScriptedLink({})
    runs = []

    def again(tx: Tx) -> None:
        runs.append(1)
        link.failure = TryAgain("somebody else was first")
        raise link.failure

    call = Call(again, cast("asyncio.Future[Any]", Answered(False)), 0.0)
    assert commit(cast("Link", link), [call]) == []
    assert isinstance(call.error, TryAgain)
    assert len(runs) == ATTEMPTS
