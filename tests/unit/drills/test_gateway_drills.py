"""The parts of the gateway's drills that need no gateway."""

from __future__ import annotations

import sqlite3
from array import array
from pathlib import Path

import pytest

from holdfast.drills.gateway_books import NANO_IN, NANO_OUT, ORPHANED, Row, balance, read_rows, reports
from holdfast.drills.gateway_frames import hear_anthropic, hear_openai
from holdfast.drills.gateway_holding import silences
from holdfast.drills.gateway_load import chat, lags_ms
from holdfast.drills.gateway_peers import LiteLLM, Portkey, installed
from holdfast.drills.gateway_service import MockEntry

OPENAI = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"anchor"}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":" keel"}}]}\n\n'
    b"data: [DONE]\n\n"
)
ANTHROPIC = (
    b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"text":"anchor"}}\n\n'
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def entry(attempt: str, tokens_in: int, tokens_out: int) -> MockEntry:
    return MockEntry(
        attempt=attempt,
        model="mock-small",
        started=0.0,
        state="finished",
        status=200,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cached=0,
        reasoning=0,
    )


def row(attempt: str, outcome: str, tokens_in: int, tokens_out: int, cost: int | None = None) -> Row:
    return Row(
        attempt=attempt,
        outcome=outcome,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost=tokens_in * NANO_IN + tokens_out * NANO_OUT if cost is None else cost,
        reserved=1_000_000,
        estimated=False,
        hedge=False,
    )


def test_books_agree_when_each_attempt_is_charged_what_it_cost() -> None:
    books = balance([entry("a", 3, 5), entry("b", 1, 0)], [row("a", "ok", 3, 5), row("b", "cancelled", 1, 0)])
    assert (books.served, books.missing, books.twice, books.off_nano, books.off_tokens) == (2, 0, 0, 0, 0)
    assert books.charged_nano == books.owed_nano


def test_what_one_attempt_is_charged_too_much_does_not_make_up_for_what_another_is_charged_too_little() -> None:
    books = balance([entry("a", 3, 5), entry("b", 3, 5)], [row("a", "ok", 3, 4), row("b", "cut", 3, 6)])
    assert books.charged_nano == books.owed_nano
    assert books.off_nano == 2 * NANO_OUT
    assert books.off_tokens == 2
    assert books.off_by_outcome == {"ok": NANO_OUT, "cut": NANO_OUT}
    assert books.off_ended_nano == NANO_OUT


def test_an_attempt_that_is_not_written_down_is_missing() -> None:
    assert balance([entry("a", 3, 5), entry("b", 3, 5)], [row("a", "ok", 3, 5)]).missing == 1


def test_an_attempt_that_the_provider_heard_two_times_is_twice() -> None:
    assert balance([entry("a", 3, 5), entry("a", 3, 5)], [row("a", "ok", 3, 5)]).twice == 1


def test_an_orphan_that_the_provider_never_heard_of_is_off_by_its_reservation_until_it_says_so() -> None:
    rows = [row("a", ORPHANED, 0, 0, cost=700), row("b", ORPHANED, 0, 0, cost=700), row("c", "ok", 1, 1)]
    entries = [entry("b", 2, 3), entry("c", 1, 1)]
    books = balance(entries, rows)
    assert (books.orphans, books.off_orphans_nano) == (2, 700 + abs(700 - 2 * NANO_IN - 3 * NANO_OUT))
    told = {report.attempt: report.usage for report in reports(entries, rows)}
    assert told["a"] is None
    assert told["b"] is not None
    assert told["b"].output_tokens == 3
    assert "c" not in told


def test_the_ledger_is_read_without_asking_the_gateway(tmp_path: Path) -> None:
    file = tmp_path / "drill.db"
    with sqlite3.connect(file) as link:
        link.execute(
            "CREATE TABLE gateway_attempts (attempt, outcome, input_tokens, output_tokens, cost, reserved, estimated,"
            " hedge)"
        )
        link.execute("INSERT INTO gateway_attempts VALUES ('a', 'ok', 3, 5, NULL, 9, 1, 0)")
    link.close()
    (found,) = read_rows(file)
    assert (found.attempt, found.cost, found.estimated, found.hedge) == ("a", None, True, False)


@pytest.mark.parametrize(("hear", "body"), [(hear_openai, OPENAI), (hear_anthropic, ANTHROPIC)])
def test_a_whole_stream_is_heard_as_such(hear: type, body: bytes) -> None:
    heard = hear(body)
    assert (heard.malformed, heard.ending) == (0, "whole")
    assert heard.text.startswith("anchor")
    assert not heard.repeats("anchor keel")


@pytest.mark.parametrize(("hear", "body"), [(hear_openai, OPENAI), (hear_anthropic, ANTHROPIC)])
def test_every_cut_of_it_that_is_not_at_an_event_is_malformed_and_none_has_an_end(hear: type, body: bytes) -> None:
    for at in range(len(body) - 1):
        heard = hear(body[:at])
        assert heard.ending == "none"
        assert bool(heard.malformed) == (at > 0 and not body[:at].endswith(b"\n\n"))


def test_words_that_come_twice_are_seen() -> None:
    twice = OPENAI.replace(b'" keel"', b'"anchor"')
    assert hear_openai(twice).repeats("anchor keel")


def test_an_error_ends_a_stream_of_either_protocol() -> None:
    head, _, _ = OPENAI.partition(b"data: [DONE]")
    assert hear_openai(head + b'data: {"error":{"message":"cut"}}\n\ndata: [DONE]\n\n').ending == "error"
    head, _, _ = ANTHROPIC.partition(b"event: content_block_stop")
    heard = hear_anthropic(head + b'event: error\ndata: {"type":"error","error":{"type":"api_error"}}\n\n')
    assert (heard.ending, heard.malformed) == ("error", 0)


def test_what_follows_the_end_is_malformed() -> None:
    assert hear_openai(OPENAI + OPENAI).malformed == 4
    assert hear_anthropic(ANTHROPIC + b'data: {"type":"ping"}\n\n').malformed == 1


def test_a_token_is_late_against_the_pace_and_not_against_the_one_before() -> None:
    lags = lags_ms(array("d", [10.0, 10.05, 10.15, 10.15]), 0.05)
    assert [round(lag) for lag in lags] == [0, 0, 50, 0]
    assert lags_ms(array("d"), 0.05) == []


def test_a_deployment_that_hears_nothing_for_long_enough_was_taken_out_once() -> None:
    assert silences([0.0, 0.1, 0.9, 1.0, 1.2], 0.5) == 1
    assert silences([0.0], 0.5) == 0


def test_a_request_says_how_long_its_body_is() -> None:
    head, _, body = chat("words=5", model="demo", stream=True, max_tokens=7, once=True).partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert b"Connection: close" in head
    assert b"[[mock: words=5]]" in body


def test_peers_that_are_not_here_are_named_with_the_way_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("HOLDFAST_LITELLM", raising=False)
    monkeypatch.delenv("HOLDFAST_PORTKEY", raising=False)
    here, notes = installed()
    assert here == ()
    assert "pip install" in notes[0]
    assert "npm install" in notes[1]
    program = tmp_path / "gateway"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOLDFAST_PORTKEY", str(program))
    assert Portkey.missing() is None
    assert LiteLLM.missing() is not None
    assert installed()[0] == (Portkey,)
