"""Signatures against AWS's published test suite for version 4."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from holdfast.gateway.core.wire.sigv4 import Credentials, canonical_request, sign

AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
WHO = Credentials(access_key_id="AKIDEXAMPLE", secret_access_key=SECRET)
LETTERS = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def signature(
    *,
    method: str = "GET",
    path: str = "/",
    query: str = "",
    headers: dict[str, str] | None = None,
    payload: bytes = b"",
) -> str:
    added = sign(
        method=method,
        host="example.amazonaws.com",
        path=path,
        query=query,
        headers=headers,
        payload=payload,
        credentials=WHO,
        region="us-east-1",
        service="service",
        at=AT,
    )
    return added["authorization"].rpartition("Signature=")[2]


VANILLA = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"


def test_get_vanilla() -> None:
    assert signature() == VANILLA


@pytest.mark.parametrize("path", ["//", "/./", "/example/..", ""])
def test_get_relative_and_get_slash_are_signed_as_the_root(path: str) -> None:
    assert signature(path=path) == VANILLA


def test_get_vanilla_query_order_key_case() -> None:
    expected = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
    assert signature(query="Param2=value2&Param1=value1") == expected


def test_get_header_value_trim() -> None:
    expected = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"
    assert signature(headers={"My-Header1": " value1", "My-Header2": ' "a   b   c"'}) == expected


def test_get_unreserved() -> None:
    expected = "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"
    assert signature(path=f"/{LETTERS}") == expected


def test_get_utf8() -> None:
    assert signature(path="/ሴ") == "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"


def test_get_space() -> None:
    expected = "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"
    assert signature(path="/example space/") == expected


def test_post_vanilla() -> None:
    assert signature(method="POST") == "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"


def test_post_x_www_form_urlencoded() -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    expected = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
    assert signature(method="POST", headers=headers, payload=b"Param1=value1") == expected


def test_a_models_address_is_signed_as_botocore_signs_it() -> None:
    name = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2F"
    path = f"/model/{name}us.anthropic.claude-3-5-sonnet-20241022-v2%3A0/converse"
    added = sign(
        method="POST",
        host="bedrock-runtime.us-east-1.amazonaws.com",
        path=path,
        headers={"content-type": "application/json"},
        payload=b"{}",
        credentials=Credentials(access_key_id="AKIDEXAMPLE", secret_access_key=SECRET, session_token="token"),
        region="us-east-1",
        at=AT,
    )
    assert added == {  # botocore 1.44.5, SigV4Auth, the same request
        "x-amz-date": "20150830T123600Z",
        "x-amz-security-token": "token",
        "authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, "
            "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
            "Signature=9f060a8b56b5bff3d52a1c360ff00e873654a4c2ba7e3437583827a8d510e93a"
        ),
    }


def test_what_is_encoded_on_the_wire_is_encoded_once_more_for_the_signature() -> None:
    text, _ = canonical_request(method="POST", path="/model/a%3A0", query="", headers={"host": "h"}, payload=b"")
    assert text.splitlines()[1] == "/model/a%253A0"


def test_secrets_show_in_no_representation() -> None:
    who = Credentials(access_key_id="AKIDEXAMPLE", secret_access_key=SECRET, session_token="a-token")
    assert SECRET not in repr(who)
    assert "a-token" not in repr(who)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        sign(
            method="GET",
            host="h",
            path="/",
            credentials=WHO,
            region="r",
            at=AT.replace(tzinfo=None),
        )
