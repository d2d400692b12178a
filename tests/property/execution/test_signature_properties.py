"""What was signed is genuine, and nothing else is."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.execution.core.signature import ID, SIGNATURE, TIMESTAMP, sign, verify

SECRETS = st.lists(
    st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + b64encode(key).decode()),
    min_size=1,
    max_size=3,
    unique=True,
)
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="."), min_size=1, max_size=40)
BODIES = st.binary(max_size=60)
TIMES = st.integers(0, 2**33)


@given(SECRETS, IDS, BODIES, TIMES, st.floats(-300, 300))
@settings(max_examples=100, deadline=None)
def test_what_was_signed_is_genuine_for_every_secret(
    secrets: list[str], id: str, body: bytes, timestamp: int, late_s: float
) -> None:
    headers = sign(secrets, id=id, timestamp=timestamp, body=body)
    for secret in secrets:
        assert verify([secret], headers, body, now=timestamp + late_s, tolerance_s=301) is None


@given(SECRETS, st.tuples(IDS, TIMES, BODIES), st.tuples(IDS, TIMES, BODIES))
@settings(max_examples=100, deadline=None)
def test_a_signature_fits_nothing_else(
    secrets: list[str], signed: tuple[str, int, bytes], sent: tuple[str, int, bytes]
) -> None:
    headers = sign(secrets, id=signed[0], timestamp=signed[1], body=signed[2])
    headers |= {ID: sent[0], TIMESTAMP: str(sent[1])}
    assert (verify(secrets, headers, sent[2], now=sent[1]) is None) == (signed == sent)


@given(SECRETS, st.fixed_dictionaries({ID: st.text(), TIMESTAMP: st.text(), SIGNATURE: st.text()}), BODIES)
@settings(max_examples=100, deadline=None)
def test_whatever_comes_is_judged_without_failing(secrets: list[str], headers: dict[str, str], body: bytes) -> None:
    assert isinstance(verify(secrets, headers, body, now=0.0), str)
