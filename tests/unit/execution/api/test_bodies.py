from __future__ import annotations

import msgspec

from holdfast.execution.core.job import Compiled, Priority, Result, Status, Verdict
from holdfast.execution.core.ports import JobView
from holdfast.execution.shell.api.bodies import Prices, job_body, output

PRICES = Prices(per_cpu_hour=0.36, currency="EUR")
RESULT = Result(
    verdict=Verdict.OUTPUT_LIMIT, exit_code=1, stdout="aé".encode()[:2], stdout_truncated=True, stderr=b"\xff"
)


def view(**fields: object) -> JobView:
    known = {"id": "J", "tenant": "t", "status": Status.FINISHED, "language": "c", "priority": Priority.LOW}
    return JobView(**{**known, "submitted": 0.0, **fields})  # type: ignore[arg-type]


def test_output_is_cut_at_a_character_boundary_and_what_is_not_utf8_is_replaced() -> None:
    body = job_body(view(result=RESULT, verdict=Verdict.OUTPUT_LIMIT), PRICES, "text")
    assert (body.stdout, body.stderr, body.stdout_truncated) == ("a", "\ufffd", True)


def test_base64_keeps_every_byte() -> None:
    body = job_body(view(result=RESULT), PRICES, "base64")
    assert (body.stdout, body.stderr, body.encoding) == ("YcM=", "/w==", "base64")


def test_a_job_without_a_result_has_no_output() -> None:
    body = job_body(view(status=Status.QUEUED), PRICES, "text")
    assert (body.stdout, body.cpu_ms, body.verdict, body.exit_code) == (None, None, None, None)


def test_a_result_that_expired_is_seen_to_have_expired() -> None:
    body = job_body(view(expired=True, expires=60.0, verdict=Verdict.OK), PRICES, "text")
    assert (body.expired, body.expires_at, body.verdict, body.stdout) == (True, "1970-01-01T00:01:00.000Z", "ok", None)


def test_metadata_comes_back_as_it_was() -> None:
    raw = b'{"big": 123456789012345678901234567890, "f": 1.0}'
    assert raw in msgspec.json.encode(job_body(view(metadata=raw), PRICES, "text"))


def test_the_cost_is_cpu_time_at_the_price() -> None:
    cost = PRICES.cost(10_000_000)
    assert (cost.cpu_s, cost.amount, cost.currency) == (10.0, 0.001, "EUR")


def test_what_the_compiler_said_is_shown() -> None:
    compiled = Compiled(
        exit_code=1,
        signal=None,
        stdout=b"",
        stderr="error: ‘x’".encode(),
        truncated=False,
        cpu_ms=1.0,
        wall_ms=2.0,
        memory_bytes=3,
        cached=False,
    )
    body = job_body(view(result=Result(verdict=Verdict.COMPILE_ERROR, compiled=compiled)), PRICES, "text")
    assert body.compile is not None
    assert (body.compile.exit_code, body.compile.stderr) == (1, "error: ‘x’")


def test_a_complete_output_that_ends_within_a_character_says_so() -> None:
    assert output(b"a\xc3", "text", truncated=False) == "a\ufffd"
