"""Values that are passed on only when they have the right form."""

from __future__ import annotations

import pytest

from holdfast.http1 import valid_request_id, valid_traceparent


@pytest.mark.parametrize("value", [b"a", b"0123456789abcdef", b"A-b_c.d~e+f/g=h:i@j", b"x" * 128])
def test_a_harmless_request_id_is_kept(value: bytes) -> None:
    assert valid_request_id(value)


@pytest.mark.parametrize("value", [b"", b"a b", b'a"b', b"a,b", b"a\n", b"x" * 129, b"\xe9"])
def test_another_request_id_is_replaced(value: bytes) -> None:
    assert not valid_request_id(value)


def test_a_traceparent_has_four_parts_in_lower_case() -> None:
    assert valid_traceparent(b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")
    assert not valid_traceparent(b"00-" + b"A" * 32 + b"-" + b"b" * 16 + b"-01")
    assert not valid_traceparent(b"00-" + b"a" * 31 + b"-" + b"b" * 16 + b"-01")
    assert not valid_traceparent(b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01\n")
