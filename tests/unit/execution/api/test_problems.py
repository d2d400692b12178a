from __future__ import annotations

import json

import pytest

from holdfast.execution.core.ports import Refused
from holdfast.execution.shell.api import service
from holdfast.execution.shell.api.problems import TYPES, ProblemError
from holdfast.web.problems import explanation


def test_a_problem_has_its_type_title_status_and_field() -> None:
    problem = ProblemError("invalid-request", "source: is missing", field="source")
    assert json.loads(problem.body()) == {
        "type": "/problems/invalid-request",
        "title": "A field of the request is invalid",
        "status": 422,
        "detail": "source: is missing",
        "field": "source",
    }
    assert "retry-after" not in problem.headers()


def test_retry_after_is_rounded_up_to_whole_seconds() -> None:
    problem = ProblemError("tenant-backlog", "too much", retry_after_s=2.0001)
    assert problem.headers()["retry-after"] == "3"
    assert json.loads(problem.body())["retry_after_s"] == 2.0
    assert ProblemError("tenant-backlog", "too much", retry_after_s=0.01).headers()["retry-after"] == "1"


@pytest.mark.parametrize("name", [name for name, kind in TYPES.items() if kind.status in {429, 503}])
def test_every_429_and_503_says_when_to_come_back(name: str) -> None:
    assert int(ProblemError(name, "no").headers()["retry-after"]) >= 1


@pytest.mark.parametrize("name", TYPES)
def test_every_type_has_a_page(name: str) -> None:
    page = explanation(name, TYPES)
    assert (page.type, page.status) == (f"/problems/{name}", TYPES[name].status)
    assert page.about


def test_every_refusal_of_the_queue_has_a_type() -> None:
    reasons = ("tenant_backlog", "total_backlog", "daily_cpu", "submit_rate", "storage", "idempotency_conflict")
    statuses = {
        reason: service.refusal(Refused(reason=reason, detail="")).status  # type: ignore[arg-type]
        for reason in reasons
    }
    assert statuses == {
        "tenant_backlog": 429,
        "total_backlog": 503,
        "daily_cpu": 429,
        "submit_rate": 429,
        "storage": 503,
        "idempotency_conflict": 409,
    }
