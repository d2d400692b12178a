"""However a provider cuts its answer, the client reads the same, and nothing that was found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from holdfast.gateway.core.conversation import BlockEnded, BlockStarted, Chat, Delta, Message, Text, ToolCall
from holdfast.gateway.core.guard import Policy, guard_for
from holdfast.gateway.core.guard.personal import IBAN_LENGTHS, iban_is_valid, luhn_is_valid
from holdfast.gateway.core.ports import Finding
from holdfast.gateway.core.settings import GuardSettings

ALL = Policy(
    GuardSettings(
        secrets="redact",
        emails="redact",
        phones="redact",
        cards="redact",
        ibans="redact",
        deny=(),
    )
)
FLAGS = Policy(GuardSettings(secrets="flag", emails="flag", phones="flag", cards="flag", ibans="flag"))
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + ("MIIEpAIBAAKCAQEAq1x9" * 3 + "abcd\n") * 4
    + "kq==\n-----END RSA PRIVATE KEY-----"
)
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
SECRETS = [
    "sk-proj-Abc123def456GHI789jkl0mno",
    "sk-ant-api03-Zx81kQpL00aaBBccDDee",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "ghp_0123456789abcdefABCDEF0123456789abcd",
    "alice.smith+news@mail.example.com",
    "4111 1111 1111 1111",
    "5555555555554444",
    "DE89 3704 0044 0532 0130 00",
    "GB82WEST12345698765432",
    "+49 30 1234567",
    "(415) 555-2671",
    JWT,
    PEM,
]
# Pieces that look like beginnings of findings, so that cuts fall where it hurts.
PIECES = [
    *SECRETS,
    *(" ", "\n", ". ", ", ", "a", "@", "sk-", "sk-proj-", "eyJ", ".", "-----", "-----BEGIN ", "DE89", "+49", "4111"),
    *("(", "0", "12/26", "2024-01-15", "task-force", "the ", "<", "<EMAIL_1>", "<EMAIL_2>", "\\u003cEMAIL_1\\u003e"),
    *("\\", "\\n", "ü"),
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=14).map("".join)
cuts = st.lists(st.integers(1, 12), min_size=1, max_size=8)


def split(text: str, sizes: Sequence[int]) -> list[str]:
    """The text in pieces of these sizes, over and over."""
    pieces, place, turn = [], 0, 0
    while place < len(text):
        size = sizes[turn % len(sizes)]
        pieces.append(text[place : place + size])
        place, turn = place + size, turn + 1
    return pieces


def streamed(
    policy: Policy, pieces: Sequence[str], *, kind: Any = "text", request: str = ""
) -> tuple[str, list[Finding]]:
    guard = guard_for(policy)
    guard.before(asked(request))
    guard.findings.clear()
    stream = guard.stream()
    events = stream.feed([BlockStarted(index=0, kind=kind)])
    for piece in pieces:
        events += stream.feed([Delta(index=0, text=piece)])
    events += stream.feed([BlockEnded(index=0)])
    return "".join(event.text for event in events if isinstance(event, Delta)), list(guard.findings)


def asked(*texts: str) -> Chat:
    return Chat(
        protocol="openai", model="m", messages=tuple(Message(role="user", parts=(Text(text=text),)) for text in texts)
    )


@given(texts, cuts, st.sampled_from(["text", "tool_call", "thinking"]))
@example("\\\\sk-proj-Abc123def456GHI789jkl0mno", [3], "tool_call")
@example("DE89 3704 0044 0532 0130 00\\+49 30 1234567", [3], "tool_call")
@example("\\u003cEMAIL_1\\u003esk-proj-Abc123def456GHI789jkl0mno", [1], "tool_call")
def test_any_cut_gives_what_the_whole_gives(text: str, sizes: list[int], kind: str) -> None:
    request = "write to bob@example.org"
    for policy in (ALL, FLAGS):
        whole = streamed(policy, [text], kind=kind, request=request)
        assert streamed(policy, split(text, sizes), kind=kind, request=request) == whole
        assert streamed(policy, list(text), kind=kind, request=request) == whole


words = st.text(alphabet="abcdefg ,\n", max_size=20)


@given(st.sampled_from(SECRETS), words, words, cuts)
def test_a_planted_secret_never_gets_out(secret: str, before: str, after: str, sizes: list[int]) -> None:
    text = f"{before}: {secret} {after}"
    guard = guard_for(ALL)
    stream = guard.stream()
    released = ""
    for piece in split(text, sizes):
        for event in stream.feed([Delta(index=0, text=piece)]):
            assert isinstance(event, Delta)
            released += event.text
            # Not even its beginning: what was let go stands before the secret, until its replacement.
            assert "<" in released or len(released) <= len(before) + 2
    released += "".join(event.text for event in stream.end() if isinstance(event, Delta))
    assert secret not in released
    assert released.startswith(f"{before}: <")
    assert len(guard.findings) == 1


@given(texts, cuts)
def test_what_was_redacted_comes_back_as_it_was(text: str, sizes: list[int]) -> None:
    guard = guard_for(ALL)
    redacted = guard.before(asked(text, text))
    part, again = redacted.messages[0].parts[0], redacted.messages[1].parts[0]
    assert isinstance(part, Text)
    assert part == again  # the same value has the same placeholder
    # The model repeats it: without the policy's own look at answers the client reads what it wrote.
    restoring = Policy(
        GuardSettings(secrets="redact", emails="redact", phones="redact", cards="redact", ibans="redact", after=False)
    )
    guard = guard_for(restoring)
    redacted = guard.before(asked(text))
    part = redacted.messages[0].parts[0]
    assert isinstance(part, Text)
    stream = guard.stream()
    events = [event for piece in split(part.text, sizes) for event in stream.feed([Delta(index=0, text=piece)])]
    events += stream.end()
    assert "".join(event.text for event in events if isinstance(event, Delta)) == text


@given(st.sampled_from(SECRETS), st.booleans(), cuts)
def test_arguments_of_tools_stay_json_when_values_come_back(secret: str, escaped: bool, sizes: list[int]) -> None:
    guard = guard_for(ALL)
    redacted = guard.before(asked(f"use {secret} now"))
    part = redacted.messages[0].parts[0]
    assert isinstance(part, Text)
    placeholder = part.text.split(" ")[1]
    arguments = json.dumps({"a": f"x\n{placeholder}\n"})
    if escaped:
        arguments = arguments.replace("<", "\\u003c").replace(">", "\\u003E")
    stream = guard.stream()
    events = stream.feed([BlockStarted(index=0, kind="tool_call", id="1", name="f")])
    for piece in split(arguments, sizes):
        events += stream.feed([Delta(index=0, text=piece)])
    events += stream.end()
    text = "".join(event.text for event in events if isinstance(event, Delta))
    assert json.loads(text) == {"a": f"x\n{secret}\n"}


@given(st.sampled_from(SECRETS), words)
def test_a_secret_in_arguments_is_the_same_secret_as_in_text(secret: str, before: str) -> None:
    guard = guard_for(ALL)
    call = ToolCall(id="1", name="f", arguments=json.dumps({"v": f"{before}\n{secret}\n"}))
    chat = Chat(
        protocol="openai",
        model="m",
        messages=(Message(role="user", parts=(Text(text=f"a {secret} b"),)), Message(role="assistant", parts=(call,))),
    )
    redacted = guard.before(chat)
    said, called = redacted.messages[0].parts[0], redacted.messages[1].parts[0]
    assert isinstance(said, Text)
    assert isinstance(called, ToolCall)
    assert json.loads(called.arguments) == {"v": f"{before}\n{said.text[2:-2]}\n"}


@given(st.text(alphabet="0123456789", min_size=1, max_size=24))
def test_luhn_agrees_with_the_textbook(digits: str) -> None:
    total = 0
    for place in range(len(digits)):
        value = int(digits[-1 - place])
        total += sum(divmod(2 * value, 10)) if place % 2 else value
    assert luhn_is_valid(digits) == (total % 10 == 0)


@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.data())
def test_iban_agrees_with_piecewise_division(country: str, data: st.DataObject) -> None:
    size = IBAN_LENGTHS[country] - 4
    account = data.draw(st.text(alphabet="0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=size, max_size=size))
    remainder = 0
    for char in f"{account}{country}00":
        value = ord(char) - 55 if char.isalpha() else int(char)
        remainder = (remainder * (100 if value > 9 else 10) + value) % 97
    right = f"{98 - remainder:02d}"
    assert iban_is_valid(f"{country}{right}{account}")
    wrong = data.draw(st.integers(2, 96))
    assume(f"{wrong:02d}" != right)
    assert not iban_is_valid(f"{country}{wrong:02d}{account}")
