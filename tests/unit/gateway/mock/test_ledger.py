"""The provider's own book."""

from __future__ import annotations

import msgspec

from holdfast.gateway.shell.mock.ledger import Entry, MockLedger


def opened(ledger: MockLedger, model: str = "mock-small", *, prompt: int = 5) -> Entry:
    entry = ledger.open("", "openai", "chat", model, now=1.0, wall=2.0)
    entry.status, entry.prompt_tokens = 200, prompt
    ledger.begun(entry)
    return entry


def test_an_attempt_is_counted_from_its_head_to_its_end() -> None:
    ledger = MockLedger()
    entry = opened(ledger)
    ledger.produced(entry, 3, now=1.25)
    ledger.produced(entry, 4, now=1.5)
    assert (ledger.in_flight, entry.first_token_s, entry.tokens_in, entry.tokens_out) == (1, 0.25, 5, 7)
    ledger.close(entry, "finished", now=2.0)
    ledger.close(entry, "cancelled", now=3.0)
    assert (entry.state, entry.ended_s, ledger.in_flight) == ("finished", 1.0, 0)
    assert ledger.stats()["states"] == {"finished": 1}


def test_a_refused_attempt_charges_for_nothing() -> None:
    ledger = MockLedger()
    entry = ledger.open("", "openai", "chat", "m", now=1.0, wall=2.0)
    entry.status, entry.prompt_tokens = 429, 5
    ledger.begun(entry)
    assert entry.tokens_in == ledger.tokens_in == 0


def test_the_book_is_bounded_and_its_totals_are_not() -> None:
    ledger = MockLedger(kept=3)
    for _ in range(10):
        entry = opened(ledger)
        ledger.produced(entry, 2, now=1.0)
        ledger.close(entry, "finished", now=1.0)
    assert [entry.number for entry in ledger] == [8, 9, 10]
    stats = ledger.stats()
    assert (stats["requests"], stats["tokens_in"], stats["tokens_out"]) == (10, 50, 20)


def test_clearing_keeps_what_is_in_flight_also_when_the_book_has_lost_it() -> None:
    ledger = MockLedger(kept=1)
    first, second = opened(ledger, "a"), opened(ledger, "b")
    ledger.close(second, "finished", now=1.0)
    ledger.clear()
    assert [entry.number for entry in ledger] == [first.number]
    assert ledger.stats() == {
        "requests": 1,
        "in_flight": 1,
        "most_in_flight": 1,
        "connections": 0,
        "cancelled": 0,
        "states": {},
        "models": {"a": 1},
        "tokens_in": 5,
        "tokens_out": 0,
    }
    ledger.close(first, "cut", now=1.0)
    assert ledger.in_flight == 0


def test_lines_begin_after_the_number_that_one_has_seen() -> None:
    ledger = MockLedger()
    for _ in range(3):
        opened(ledger)
    numbers = [msgspec.json.decode(line, type=Entry).number for line in ledger.lines(since=1).splitlines()]
    assert numbers == [2, 3]
