"""What is signed cannot be changed, nor sent again later."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from holdfast.netpulse.core.signature import TOLERANCE_S, sign, verify

NOW = 1_700_000_000.0
BODY = b'{"n": 1}'


def test_a_signature_is_what_its_description_says() -> None:
    wanted = hmac.new(b"s3cret", b"1700000000." + BODY, hashlib.sha256).hexdigest()
    assert sign("s3cret", BODY, now=NOW + 0.9) == f"t=1700000000,v1={wanted}"


def test_what_was_signed_is_genuine() -> None:
    assert verify("s3cret", sign("s3cret", BODY, now=NOW), BODY, now=NOW + TOLERANCE_S) is None


def test_one_fitting_signature_is_enough_while_a_secret_is_changed() -> None:
    old, new = sign("old", BODY, now=NOW), sign("new", BODY, now=NOW)
    assert verify("new", f"{old},v1={new.partition('v1=')[2]}", BODY, now=NOW) is None


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("", "missing"),
        ("v1=00", "no time"),
        ("t=,v1=00", "no time"),
        ("t=१२,v1=00", "no time"),
        (f"t={'9' * 13},v1=00", "no time"),
        ("t=1700000000", "no signature fits"),
        ("t=1700000000,v1=é", "no signature fits"),
        ("t=1699999000,v1=00", "1000 s away"),
        ("t=1700001000,v1=00", "-1000 s away"),
    ],
)
def test_what_is_not_genuine_is_refused_with_the_reason(header: str, why: str) -> None:
    assert why in (verify("s3cret", header, BODY, now=NOW) or "")


def test_another_body_time_or_secret_does_not_fit() -> None:
    header = sign("s3cret", BODY, now=NOW)
    assert verify("s3cret", header, BODY + b" ", now=NOW)
    assert verify("other", header, BODY, now=NOW)
    assert verify("s3cret", header.replace("1700000000", "1700000001"), BODY, now=NOW)


def test_signatures_beyond_the_bound_are_not_looked_at() -> None:
    genuine = sign("s3cret", BODY, now=NOW).partition(",")[2]
    assert verify("s3cret", f"t={int(NOW)},{'v1=00,' * 8}{genuine}", BODY, now=NOW)
