"""OpenAI's errors: what clients get, and what those of providers mean."""

from __future__ import annotations

from typing import get_args

import pytest

from holdfast.gateway.core.wire.openai_errors import read_error, write_error
from holdfast.gateway.core.wire.retry import retry_after_s
from holdfast.gateway.errors import Reason, Refused


@pytest.mark.parametrize("reason", get_args(Reason))
def test_every_reason_has_a_status_and_the_four_fields_that_clients_read(reason: Reason) -> None:
    status, body = write_error(Refused(reason, "said", param="messages.0"), request_id="")
    assert 400 <= status < 600
    assert set(body["error"]) == {"message", "type", "param", "code"}


def test_a_used_up_budget_is_429_with_insufficient_quota() -> None:
    status, body = write_error(Refused("budget_exhausted", "the month's budget is used up"), request_id="")
    assert (status, body["error"]["code"]) == (429, "insufficient_quota")


@pytest.mark.parametrize(
    ("status", "body", "failure", "code"),
    [
        (
            400,
            b'{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}',
            "rejected",
            "context_length_exceeded",
        ),
        (400, b'{"error":{"message":"no","code":"content_filter","innererror":{}}}', "filtered", "content_filter"),
        (
            400,
            b'{"error":{"message":"no","code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}',
            "filtered",
            None,
        ),
        (
            429,
            b'{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}',
            "rate_limited",
            "insufficient_quota",
        ),
        (401, b'{"error":{"message":"bad key","code":"invalid_api_key"}}', "auth", "invalid_api_key"),
        (404, b'{"error":"model not found, try pulling it first"}', "rejected", None),
        (400, b'{"object":"error","message":"bad","type":"BadRequestError","code":400}', "rejected", "BadRequestError"),
        (400, b'[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]', "rejected", None),
        (422, b'{"detail":[{"loc":["body"],"msg":"missing"}]}', "rejected", None),
        (529, b'{"error":{"message":"busy","type":"overloaded_error"}}', "overloaded", "overloaded_error"),
        (503, b"<html><h1>Service Unavailable</h1></html>", "overloaded", None),
        (502, b"<html><h1>Bad Gateway</h1></html>", "server_error", None),
        (404, b"404 page not found", "protocol", None),
        (301, b"", "protocol", None),
        (500, b"\xff\xfe" + b"x" * 100_000, "server_error", None),
    ],
)
def test_errors_of_openai_and_its_likenesses_are_understood(
    status: int, body: bytes, failure: str, code: str | None
) -> None:
    said = read_error(status, {}, body)
    assert (said.failure, said.status, said.code) == (failure, status, code)
    assert 0 < len(said.message) <= 1000
    assert "<" not in said.message


def test_keys_are_masked() -> None:
    body = b'{"error":{"message":"Incorrect API key provided: sk-proj-abcdef123456, Bearer abcdefgh"}}'
    assert read_error(401, {}, body).message == "Incorrect API key provided: ***, Bearer ***"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "999999"}, 3600.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 99 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds
