"""Which addresses may be called, and what follows from an answer."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random

import pytest

from holdfast.execution.core.callback import (
    RETRY_AFTER_LIMIT_S,
    Again,
    Attempt,
    Consequence,
    Dead,
    Delivered,
    Target,
    consequence,
    judge_addresses,
    target,
)
from holdfast.execution.core.settings import CallbackSettings
from holdfast.kernel.addresses import is_public

SETTINGS = CallbackSettings()


def judged(url: str) -> str | Target:
    return target(url, allow_private=False)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com", ("https", "example.com", 443, "/", "example.com")),
        ("http://example.com", ("http", "example.com", 80, "/", "example.com")),
        ("HTTPS://EXAMPLE.com:8443/A?b=C#d", ("https", "example.com", 8443, "/A?b=C", "example.com:8443")),
        ("https://example.com:443/", ("https", "example.com", 443, "/", "example.com")),
        ("http://example.com:443?q", ("http", "example.com", 443, "/?q", "example.com:443")),
        ("https://xn--bcher-kva.example/", ("https", "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example")),
        ("https://a_b.example.com./x", ("https", "a_b.example.com.", 443, "/x", "a_b.example.com.")),
        ("https://8.8.8.8/", ("https", "8.8.8.8", 443, "/", "8.8.8.8")),
        ("https://[2606:4700::1111]:8080/", ("https", "2606:4700::1111", 8080, "/", "[2606:4700::1111]:8080")),
    ],
)
def test_a_url_is_read_into_checked_parts(url: str, expected: tuple[str, str, int, str, str]) -> None:
    read = judged(url)
    assert isinstance(read, Target)
    assert (read.scheme, read.host, read.port, read.path, read.authority) == expected


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "db.localhost",
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.255.255.254",
        "2130706433",  # decimal
        "017700000001",  # octal
        "0177.0.0.1",
        "0x7f000001",  # hexadecimal
        "0x7f.0.0.1",
        "0x7f.1",
        "0X7F.1",
        "0",
        "0.0.0.0",
        "00.0.0.0",
        "1.2.3.4.5",
        "127.0.0.01",
        "example.0x7f",
        "10.0.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",  # metadata of most clouds
        "168.63.129.16",  # and of Azure's host
        "100.100.100.200",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:8.8.8.8]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",  # NAT64
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::1]",  # 6to4
        "[2001:0:53aa:64c:0:fbff:8000:0]",  # Teredo
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[2606:4700::1111%25eth0]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[v1.fe80]",
    ],
)
def test_no_spelling_of_an_inner_address_is_taken(host: str) -> None:
    assert isinstance(judged(f"http://{host}:8080/"), str)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http://",
        "http:///x",
        "http://:80/",
        "http://./",
        "http://a..b/",
        "http://-a.example-/",
        "http://user@example.com/",
        "http://user:word@example.com/",
        "http://example.com@10.0.0.1/",
        "http://10.0.0.1\\@example.com/",
        "http://example.com\\@10.0.0.1/",
        "http://exam ple.com/",
        "http://example.com/\r\nX: y",
        "http://example.com/\t",
        "http://bücher.example/",
        "http://①②⑦.0.0.1/",
        "http://127。0。0。1/",
        "http://example.com:22/",
        "http://example.com:25/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:x/",
        "http://[::1/",
        "http://%6c%6f%63%61%6c%68%6f%73%74/",
        "http://example.com/" + "x" * 2048,
    ],
)
def test_what_is_no_plain_web_address_is_not_taken(url: str) -> None:
    assert isinstance(judged(url), str)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "10.1.2.3", "db"])
def test_inner_addresses_are_taken_where_that_is_allowed(host: str) -> None:
    assert isinstance(target(f"http://{host}:8080/", allow_private=True), Target)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1"])
def test_odd_spellings_are_not_taken_even_then(host: str) -> None:
    assert isinstance(target(f"http://{host}:8080/", allow_private=True), str)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


def test_one_inner_address_spoils_all_of_a_name() -> None:
    assert judge_addresses(["8.8.8.8", "2606:4700::1111"], allow_private=False) is None
    assert judge_addresses(["8.8.8.8", "10.0.0.1"], allow_private=False) is not None
    assert judge_addresses(["8.8.8.8", "nonsense"], allow_private=True) is not None
    assert judge_addresses(["10.0.0.1"], allow_private=True) is None
    assert judge_addresses([], allow_private=True) is not None


# ---------------------------------------------------------------- what follows


def after(attempt: Attempt, attempts: int = 1) -> Consequence:
    return consequence(attempt, attempts=attempts, settings=SETTINGS, rng=Random(1))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery(status: int) -> None:
    assert after(Attempt(status=status), attempts=SETTINGS.attempts) == Delivered()


@pytest.mark.parametrize("status", [199, 301, 307, 400, 401, 404, 429, 500, 503])
def test_anything_else_is_tried_again(status: int) -> None:
    outcome = after(Attempt(status=status))
    assert isinstance(outcome, Again)
    assert str(status) in outcome.why
    assert isinstance(after(Attempt(failure="no answer")), Again)


def test_the_last_attempt_is_the_end() -> None:
    assert after(Attempt(status=500), attempts=SETTINGS.attempts) == Dead("answered 500")
    assert after(Attempt(failure="no answer"), attempts=SETTINGS.attempts + 1) == Dead("no answer")


def test_a_receiver_that_is_gone_and_an_address_that_is_forbidden_are_not_tried_again() -> None:
    assert isinstance(after(Attempt(status=410)), Dead)
    assert isinstance(after(Attempt(failure="private", forbidden=True)), Dead)


def test_waits_grow_up_to_their_bound() -> None:
    def longest(attempts: int) -> float:
        outcomes = [
            consequence(Attempt(status=500), attempts=attempts, settings=SETTINGS, rng=Random(seed))
            for seed in range(200)
        ]
        return max(outcome.after_s for outcome in outcomes if isinstance(outcome, Again))

    assert 0.9 < longest(1) <= 1.0
    assert 3.6 < longest(3) <= 4.0
    many = CallbackSettings(attempts=100)
    outcome = consequence(Attempt(status=500), attempts=50, settings=many, rng=Random(1))
    assert isinstance(outcome, Again)
    assert outcome.after_s <= many.backoff_max


@pytest.mark.parametrize(("asked", "waited"), [(30.0, 30.0), (1e9, RETRY_AFTER_LIMIT_S)])
def test_a_receiver_may_ask_for_a_longer_wait_within_bounds(asked: float, waited: float) -> None:
    assert after(Attempt(status=503, retry_after_s=asked)) == Again(waited, "answered 503")


def test_a_receiver_cannot_ask_for_a_shorter_wait() -> None:
    assert after(Attempt(status=503, retry_after_s=0.0)) == after(Attempt(status=503))
