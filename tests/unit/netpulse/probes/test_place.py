"""Where a check goes: what is read, what is refused, and that a refusal repeats no secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.probes.dns import resolver_address
from holdfast.netpulse.shell.probes.place import following, host_and_port, place


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("http://Example.COM", "example.com", "/"),
        ("https://example.com:443/a?b#c", "example.com", "/a?b"),
        ("http://example.com:443/", "example.com:443", "/"),
        ("http://[2001:DB8::1]:8080/x", "[2001:db8::1]:8080", "/x"),
        ("https://bücher.example/ü?q=ß", "xn--bcher-kva.example", "/%C3%BC?q=%C3%9F"),
        ("http://a_b.example./%2f%20", "a_b.example.", "/%2f%20"),
        ("http://user:pa%40ss@example.com/", "example.com", "/"),
    ],
)
def test_a_url_is_read_into_what_goes_on_the_wire(url: str, authority: str, path: str) -> None:
    read = place(url)
    assert (read.authority, read.path) == (authority, path)
    assert "pa" not in str(read).replace("example", "")


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "ftp://example.com/", "http://", "http:///x", "http://a b/", "http://exa\\mple/"),
        *("http://example.com:0/", "http://example.com:99999/", "http://example.com:x/", "http://[::1/"),
        *("http://[fe80::zz]/", "http://-x.example/", "http://a..b/", "http://x/\r\nHost: y", "http://" + "a" * 9000),
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        place(url)


def test_a_refusal_does_not_repeat_the_password() -> None:
    with pytest.raises(Invalid) as refused:
        place("http://user:s3cret@host:port/")
    assert "s3cret" not in str(refused.value)


@given(st.binary(max_size=60))
def test_wherever_a_stranger_redirects_it_is_a_clean_place_or_refused(location: bytes) -> None:
    base = place("https://example.com:8443/a/b")
    try:
        to = following(base, location)
    except Invalid:
        return
    line = f"GET {to.path} HTTP/1.1 {to.authority}"
    assert line.isascii()
    assert line.isprintable()
    assert " " not in to.path
    assert to.path.startswith("/")
    assert to.scheme in {"http", "https"}


@pytest.mark.parametrize(
    ("location", "to"),
    [
        (b"/c", "https://example.com:8443/c"),
        (b"c?d", "https://example.com:8443/a/c?d"),
        (b"//other.example/", "https://other.example/"),
        (b"HTTP://other.example", "http://other.example/"),
        ("/ü".encode(), "https://example.com:8443/%C3%BC"),
        ("/ü".encode("latin-1"), "https://example.com:8443/%C3%BC"),
        (b"/a b", "https://example.com:8443/a%20b"),
    ],
)
def test_a_location_is_relative_to_where_it_was_said(location: bytes, to: str) -> None:
    found = following(place("https://example.com:8443/a/b"), location)
    assert f"{found}{found.path}" == to


@pytest.mark.parametrize(
    ("address", "default", "read"),
    [
        ("example.com:443", None, ("example.com", 443)),
        ("[2001:db8::1]:53", None, ("2001:db8::1", 53)),
        ("example.com", 443, ("example.com", 443)),
        ("[::1]", 443, ("::1", 443)),
        ("example.com:8443", 443, ("example.com", 8443)),
    ],
)
def test_an_address_is_host_and_port(address: str, default: int | None, read: tuple[str, int]) -> None:
    assert host_and_port(address, default) == read


@pytest.mark.parametrize("address", ["", "example.com", ":1", "x:y", "x:0", "x:65536", "x:٣", "x y:1", "[::1", "::1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Invalid):
        host_and_port(address)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_a_resolver_is_a_number_with_or_without_a_port(text: str, read: tuple[str, int]) -> None:
    assert resolver_address(text) == read


@pytest.mark.parametrize("text", ["ns.example", "192.0.2.1:x", "192.0.2.1:0", "", "[::1", "999.1.1.1"])
def test_a_resolver_by_name_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        resolver_address(text)
