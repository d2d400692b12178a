"""Signatures of callbacks, as others make and check them."""

from __future__ import annotations

import pytest

from holdfast.execution.core.signature import ID, SIGNATURE, TIMESTAMP, key_of, sign, verify

# The example of the reference implementations.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1_614_265_330.0
BODY = b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

OTHER = "whsec_" + "b3RoZXIgc2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXM="


PUBLISHED = {ID: MESSAGE, TIMESTAMP: "1614265330", SIGNATURE: SIGNED}


def problem(
    headers: dict[str, str] | None = None,
    *,
    body: bytes = BODY,
    now: float = AT,
    secrets: tuple[str, ...] = (SECRET,),
) -> str | None:
    """``headers`` are those that differ from the published ones."""
    return verify(secrets, PUBLISHED | (headers or {}), body, now=now)


def test_the_published_example_is_signed_as_published() -> None:
    assert sign([SECRET], id=MESSAGE, timestamp=1_614_265_330, body=BODY) == {
        "webhook-id": MESSAGE,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNED,
    }


def test_the_published_example_is_genuine() -> None:
    assert problem() is None


def test_every_secret_in_force_signs_and_any_of_them_verifies() -> None:
    headers = sign([OTHER, SECRET], id=MESSAGE, timestamp=1_614_265_330, body=BODY)
    assert headers[SIGNATURE].split(" ")[1] == SIGNED
    for secrets in ([SECRET], [OTHER], [OTHER, SECRET]):
        assert verify(secrets, headers, BODY, now=AT) is None


def test_a_signature_of_another_version_beside_ours_does_no_harm() -> None:
    assert problem({SIGNATURE: f"v1a,AAAA {SIGNED}"}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {ID: "msg_other"},
        {TIMESTAMP: "1614265331"},
        {SIGNATURE: "v1,AAAA"},
        {SIGNATURE: SIGNED.replace("v1,", "v2,")},
        {SIGNATURE: SIGNED.removeprefix("v1,")},
        {SIGNATURE: "v1,g0hM9SsE+öTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {SIGNATURE: "v1, " * 100_000},
    ],
)
def test_what_was_changed_is_not_genuine(headers: dict[str, str]) -> None:
    assert problem(headers) == "no signature fits a secret in force"


def test_another_body_is_not_genuine() -> None:
    assert problem(body=BODY + b" ") is not None


def test_another_secret_is_not_genuine() -> None:
    assert problem(secrets=(OTHER,)) is not None
    assert problem(secrets=()) is not None


def test_a_request_is_good_for_five_minutes_either_way() -> None:
    assert problem(now=AT + 300) is None
    assert problem(now=AT - 300) is None
    assert problem(now=AT + 301) == "webhook-timestamp is 301 s away from the clock; 300 s are allowed"
    assert problem(now=AT - 301) is not None


@pytest.mark.parametrize("timestamp", ["-1", "1e9", "٣", "16142653.3", "9" * 5000])
def test_a_timestamp_is_a_plain_number(timestamp: str) -> None:
    assert problem({TIMESTAMP: timestamp}) == "webhook-timestamp is not in whole seconds since the epoch"


@pytest.mark.parametrize("name", [ID, TIMESTAMP, SIGNATURE])
def test_all_three_fields_are_needed(name: str) -> None:
    assert "is missing" in (problem({name: ""}) or "")


@pytest.mark.parametrize("id", ["", "a.b", "a b", "ä", "a\n", "a\x00"])
def test_an_id_that_could_be_read_in_two_ways_is_not_signed(id: str) -> None:
    with pytest.raises(ValueError, match="not the id of a callback"):
        sign([SECRET], id=id, timestamp=0, body=BODY)


def test_nothing_is_sent_unsigned() -> None:
    with pytest.raises(ValueError, match="at least one secret"):
        sign([], id=MESSAGE, timestamp=0, body=BODY)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_ä", "whsec_?"]
)
def test_a_bad_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="not a callback secret") as refusal:
        key_of(secret)
    assert not secret.removeprefix("whsec_") or secret not in str(refusal.value)
