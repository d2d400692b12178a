"""The small pure parts of the probes: details, statuses, messages, frames, checksums, hosts files."""

from __future__ import annotations

import errno
import os

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.shell.probes import grpc, icmp, lookup, websocket
from holdfast.netpulse.shell.probes.examination import examine
from holdfast.netpulse.shell.probes.finding import DETAIL_LIMIT, Failed, from_os_error, printable, quoted
from holdfast.netpulse.shell.probes.http import accepted
from holdfast.netpulse.shell.probes.names import _hosts


@given(st.text(max_size=400))
def test_a_detail_is_short_and_printable_whatever_it_is_made_of(text: str) -> None:
    clean = printable(text)
    assert len(clean) <= DETAIL_LIMIT
    assert clean.isprintable()
    assert quoted(text).isprintable()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPERM, errno.EADDRNOTAVAIL, 9999])
def test_what_is_not_the_networks_doing_is_the_agents(code: int) -> None:
    assert from_os_error(OSError(code, os.strerror(code))).failure is Failure.AGENT


def test_accepted_statuses_are_codes_classes_and_ranges() -> None:
    assert accepted(("2xx", "301", "400-402")) == frozenset((*range(200, 300), 301, 400, 401, 402))


@pytest.mark.parametrize("status", ["", "2x", "20", "xx2", "2xx-3xx", "200-", "-200", "2000", "٢٠٠"])
def test_a_status_that_is_none_is_refused(status: str) -> None:
    with pytest.raises(Failed):
        accepted((status,))


def test_a_health_request_is_what_protobuf_would_write() -> None:
    assert grpc.request("") == b"\0\0\0\0\0"
    assert grpc.request("ab") == b"\0\0\0\0\x04\x0a\x02ab"
    assert grpc.request("x" * 200)[:8] == b"\0\0\0\0\xcb\x0a\xc8\x01"


@given(st.binary(max_size=24))
def test_a_health_answer_is_a_number_or_refused(data: bytes) -> None:
    try:
        status = grpc.answer(data)
    except Failed:
        return
    assert status >= 0


@given(st.binary(max_size=300))
def test_a_masked_frame_can_be_unmasked(payload: bytes) -> None:
    framed = websocket.frame(1, payload)
    head = 2 if len(payload) < 126 else 4
    mask = framed[head : head + 4]
    assert framed[1] & 0x80
    assert bytes(byte ^ mask[at % 4] for at, byte in enumerate(framed[head + 4 :])) == payload


@given(st.binary(min_size=4, max_size=40).filter(lambda data: len(data) % 2 == 0))
def test_a_packet_with_its_checksum_sums_to_zero(data: bytes) -> None:
    blank = data[:2] + b"\0\0" + data[4:]
    assert icmp.checksum(data[:2] + icmp.checksum(blank).to_bytes(2, "big") + data[4:]) == 0


def test_a_hosts_file_is_read_as_the_system_reads_it() -> None:
    text = "# c\n192.0.2.1 One one.Example. # x\n::1\tone\n\nnot.an.address two\n192.0.2.1 one\n"
    assert _hosts(text) == {"one": ["192.0.2.1", "::1"], "one.example": ["192.0.2.1"]}


@pytest.mark.parametrize(
    ("kind", "expression", "body", "answer"),
    [
        (b"r", "b+", "abc", b"+"),
        (b"r", "^c", "abc", b"-"),
        (b"r", "[", "abc", b"?"),
        (b"j", "$.a", '{"a": null}', b"+"),
        (b"j", "$.b", '{"a": 1}', b"-"),
        (b"j", "$.a", "{", b"-"),
        (b"j", "$[", "{}", b"?"),
    ],
)
def test_an_examination_finds_does_not_find_or_cannot_say(
    kind: bytes, expression: str, body: str, answer: bytes
) -> None:
    assert examine(kind, expression, body)[0] == answer


@given(st.binary(max_size=80))
def test_an_answer_with_addresses_is_read_or_refused(data: bytes) -> None:
    head = bytes.fromhex("0000818000010005") + bytes(4) + b"\1x\0\0\1\0\1"
    try:
        found = lookup.addresses(head + data, lookup.A)
    except Failed:
        return
    assert all(len(address.split(".")) == 4 for address in found)


def test_addresses_are_read_past_an_alias() -> None:
    asked = dns.message.make_query("a.example", "AAAA")
    answer = dns.message.make_response(asked)
    answer.answer.append(dns.rrset.from_text("a.example.", 1, "IN", "CNAME", "b.example."))
    answer.answer.append(dns.rrset.from_text("b.example.", 1, "IN", "AAAA", "2001:db8::1"))
    assert lookup.addresses(answer.to_wire(), lookup.AAAA) == ["2001:db8::1"]
    assert lookup.addresses(answer.to_wire(), lookup.A) == []
