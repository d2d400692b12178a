"""Which numbers of a text are names, and which were typed."""

from __future__ import annotations

import pytest

from holdfast.blog.core.numerals import BREAK, beside, status_code, typed, typed_in_code, without_comment


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-11-22, at 2026-11-22T14:03:02Z and 2026-11-22 14:03 UTC",
        "on 22 November 2026, on November 22, 2026, in November 2026",
        "HAProxy 2.6.12 beside v2.6 and v1.22.1-rc.2",
        "Python 3.11 or newer, TLS 1.3, HTTP/1.1 and HTTP/2",
        "Debian 12, on Node 22 and with OpenJDK 21",
        "at 127.0.0.1:8080 and in 10.0.0.0/8",
        "p50, p99 and p99.9 of EC2 with IPv4, k8s and cgroup v2",
        "SHA-256 over UTF-8 in us-east-1 on x86-64 and x86_64",
        "Apache-2.0, CVE-2021-44228 and c7i.2xlarge",
        "the 95th percentile of 5xx answers",
        "an X.509 certificate, X11 and C++17",
        "RFC 2439 damps, ISO 8601 dates, see section 4.2 and step 3",
        "HTTP 503, status 429 or 503, 503 Service Unavailable",
        "a proxy of layer 7",
        "two backends, three regions, one of three, twice, once more",
        "scale to zero; at zero instances; from zero",
        "hundreds of requests, thousands of tenants",
        "half-open breakers; the other half; half broken",
        "in one place, one request at a time, one accepts a request",
        "two cores of one machine; three times it failed",
        "延迟的p99，Größe der EC2",
        "one error proves nothing; the score of a rule; it comes in two halves",
        "one fails for a second, the other is well in a day of work",
    ],
)
def test_dates_versions_names_and_small_words_are_no_figures(text: str) -> None:
    assert typed(text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("41 errors", "41"),
        ("1,234 requests", "1,234"),
        ("12.5 % of them", "12.5"),
        ("12.5% of them", "12.5%"),
        ("45ms later", "45ms"),
        ("3x faster", "3x"),
        ("10k requests", "10k"),
        ("$36.39 an hour", "$36.39"),
        ("USD36", "36"),
        ("x41", "41"),
        ("\N{MINUS SIGN}3 dB", "\N{MINUS SIGN}3"),
        ("24/7", "24/7"),
        ("1:1", "1:1"),
        ("1.234.567 tokens", "1.234.567"),
        ("1e6", "1e6"),
        ("in 2026 we", "2026"),
        ("2026-13-45", "2026"),
        ("45 November 2026", "45"),
        ("HAProxy 41, nginx 12", "41"),
        ("HAProxy 1.99 and nginx 1.30", "1.99"),
        ("Python 3.11 attempts", "3.11"),
        ("TLS 1.3 ms", "1.3"),
        ("RFC 41 %", "41"),
        ("step 3 errors", "3"),
        ("status 712", "712"),
        ("status 500 ms", "500"),
        ("the 4th", "4th"),
        ("٤٢ أخطاء", "٤٢"),
        ("４２ errors", "４２"),
        ("延迟41毫秒", "41毫秒"),
        ("و41", "41"),
        ("½ of them", "½"),
        ("10⁶", "10⁶"),
        ("CO₂", "₂"),
        ("Ⅻ", "Ⅻ"),
        ("forty percent", "forty percent"),
        ("twenty-one regions", "twenty-one"),
        ("a hundred regions", "a hundred"),
        ("one hundred and five", "one hundred"),
        ("a dozen tenants", "a dozen"),
        ("ten times faster", "ten times faster"),
        ("twice as fast", "twice as fast"),
        ("tenfold", "tenfold"),
        ("two seconds", "two seconds"),
        ("two-second stalls", "two-second"),
        ("two percent", "two percent"),
        ("half of the requests", "half of"),
        ("half a second", "half a second"),
        ("a third of the targets", "a third of"),
        ("two-thirds", "two-thirds"),
        ("one in ten", "one in ten"),
        ("three out of five", "three out of five"),
        ("two pages a day", "two pages a day"),
        ("three attempts per request", "three attempts per request"),
        ("zero downtime", "zero"),
        ("three point five", "three point five"),
    ],
)
def test_a_figure_is_found_however_it_is_written(text: str, number: str) -> None:
    assert number in [one.text for one in typed(text)]


def test_where_a_number_begins_is_told() -> None:
    assert [one.start for one in typed("p99 of 41, and 12 more")] == [7, 15]


def test_markup_within_a_number_does_not_hide_it() -> None:
    assert [one.text for one in typed(f"about{BREAK}4{BREAK}1 errors")] == ["4", "1"]
    assert typed(f"Python{BREAK} 3.11{BREAK} or newer") == []


def test_digits_may_begin_the_name_of_a_company_but_no_count() -> None:
    assert typed("37signals", names=True) == []
    assert typed("37signals") != []
    assert typed("41", names=True) != []
    assert typed("41ms", names=True) != []
    assert typed("5000requests", names=True) != []


def test_code_is_a_quotation_once_it_holds_a_number_of_its_own() -> None:
    assert not typed_in_code("latency_p99_ms")
    assert not typed_in_code("holdfast.first_token_of_a_stream_p99_ms")
    assert not typed_in_code("src/holdfast/http1")
    assert not typed_in_code("noise.n3_plain_false_pages_per_year")
    assert typed_in_code("rise: 3")
    assert typed_in_code("--workers=8")


def test_a_comment_of_code_is_judged_only_with_its_own_numbers() -> None:
    assert without_comment("timeout: 70s   # longer than a poll") == "timeout: 70s"
    assert without_comment("timeout: 70s   # 41 errors") == "timeout: 70s   # 41 errors"
    assert without_comment("# only words") == "# only words"


def test_text_that_was_made_to_slow_the_search_is_searched() -> None:
    for text in ("one " * 5000, "one a " * 3000, "1." * 10_000, f"one{' ' * 20_000}x", f"{'a' * 20_000}1"):
        typed(text)  # under the deadline of every test


def test_status_codes_are_those_that_are_registered() -> None:
    assert status_code("503")
    assert not status_code("712")
    assert not status_code("503 times")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (f"for{BREAK}ty{BREAK} errors", "forty errors"),
        (f"t{BREAK}w{BREAK}o seconds", "two seconds"),
        ("f\u00adorty", "forty"),
        ("for\u200bty", "forty"),
        ("for\u2063ty", "forty"),
        ("in v12 seconds", "12"),
        ("errors42", "42"),
        ("latency250ms", "250ms"),
        ("a42%", "42%"),
        ("fortytwo", "fortytwo"),
        ("twohundred", "twohundred"),
        ("XLII errors", "XLII errors"),
        ("IX-second stalls", "IX-second"),
        ("四十 errors", "四十"),
        ("三百二十个", "三百二十"),
        ("五 seconds", "五 seconds"),
        ("五毫秒", "五毫秒"),
        (f"in two {beside('seconds')}", "two seconds"),
    ],
)
def test_no_disguise_hides_a_figure(text: str, number: str) -> None:
    assert number in [one.text for one in typed(text)]


@pytest.mark.parametrize(
    "text",
    [
        "CI minutes and DC hours, an XL request, CL errors and MIX times",
        "the API v2 requests it",
        "它统一了一个入口，一般不会",
        "p99, base64, web3 and EC2",
        f"the {beside('retries')} of one {beside('pool')}",
    ],
)
def test_what_only_looks_like_a_figure_is_none(text: str) -> None:
    assert typed(text) == []


def test_code_that_is_no_word_is_no_part_of_a_sentence() -> None:
    assert beside("p99") == beside("a b; c") == beside("") == "\ufffc"
