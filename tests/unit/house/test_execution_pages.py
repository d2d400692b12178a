"""The pages on code execution say what the code does, where a machine can compare the two."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Any, cast, get_args, get_type_hints

import pytest

from holdfast.app.config import load
from holdfast.console.app import HANDLERS
from holdfast.execution.core import scaling
from holdfast.execution.core.job import Verdict
from holdfast.execution.core.ports import Event, Refused
from holdfast.execution.core.scheduler import Candidate, TenantQueue, heavy_cap, schedule
from holdfast.execution.core.settings import (
    CeilingSettings,
    ExecutionSettings,
    FairnessSettings,
    LimitSettings,
    RetentionSettings,
)
from holdfast.execution.core.signature import sign
from holdfast.execution.shell.api.app import application
from holdfast.execution.shell.api.front import Front
from holdfast.execution.shell.api.metrics import Metrics
from holdfast.execution.shell.api.problems import TYPES
from holdfast.execution.shell.api.requests import SubmissionBody
from holdfast.execution.shell.api.service import Service
from holdfast.execution.shell.sandbox import root
from holdfast.execution.shell.sandbox.tier import Tier
from holdfast.identity import ROLES, Scope
from holdfast.kernel import Duration, Size
from tests.unit.house.asking import Endpoint, Nobody, Reply, ask
from tests.unit.house.pages import ROOT, SOURCE, calls, codes, rows, section, texts

EXECUTION = (ROOT / "docs" / "execution.md").read_text()
QUEUE = (ROOT / "docs" / "queue.md").read_text()
SANDBOX = (ROOT / "docs" / "sandbox.md").read_text()
CONSOLE = (ROOT / "docs" / "console.md").read_text()
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()

OPEN = "*open*"


def first_codes(page: str, heading: str) -> list[str]:
    """What the first cells of the tables under a heading set in code."""
    return [name for row in rows(section(page, heading)) for name in codes(row[0])]


# ---------------------------------------------------------------- endpoints


async def refused_to(front: Front, endpoint: Endpoint, *, key: bool = True) -> Reply:
    """The answer; a batch has to have jobs before it is looked at."""
    return await ask(front, endpoint, key=key, body=b'{"jobs": []}' if endpoint.path == "/v1/batches" else b"{}")


@cache
def endpoints() -> Mapping[Endpoint, str]:
    """Every endpoint of the OpenAPI document with the scope that it asks for first."""

    async def scenario() -> Mapping[Endpoint, str]:
        nothing = cast("Any", None)
        service = Service(
            ExecutionSettings(),
            queue=nothing,
            identities=cast("Any", Nobody()),
            outbox=nothing,
            languages={},
            clock=time.time,
            rng=Random(1),
        )
        front = application(service)
        document = (await ask(front, Endpoint("GET", "/schema"), key=False)).body
        found = {}
        for path, operations in document["paths"].items():
            for method in operations:
                endpoint = Endpoint(method.upper(), path)
                refused = await refused_to(front, endpoint)
                scope = re.search(r"lacks the scope '([a-z:]+)'", str(refused.body))
                found[endpoint] = scope[1] if refused.status == 403 and scope else OPEN
                if found[endpoint] is not OPEN:
                    assert (await refused_to(front, endpoint, key=False)).status == 401
        return found

    return asyncio.run(scenario())


ENDPOINTS = [
    (Endpoint(method, path), codes(row[1]) or [row[1]])
    for row in rows(section(EXECUTION, "## Endpoints"))
    for method, path in re.findall(r"`(GET|POST|DELETE) (/[^`?]*)", row[0])
]


def test_every_endpoint_is_described_and_no_other() -> None:
    assert [endpoint for endpoint, _ in ENDPOINTS] == list(dict.fromkeys(endpoint for endpoint, _ in ENDPOINTS))
    assert {endpoint for endpoint, _ in ENDPOINTS} == set(endpoints())


def test_every_endpoint_asks_for_the_scope_that_its_description_names() -> None:
    asked = endpoints()
    assert {endpoint: scope for endpoint, scope in asked.items() if scope not in dict(ENDPOINTS)[endpoint]} == {}


# ---------------------------------------------------------------- names in tables


def test_every_problem_type_is_in_the_table_with_its_status_and_no_other() -> None:
    described = {codes(row[0])[0]: int(row[1]) for row in rows(section(EXECUTION, "## Errors"))}
    assert described == {kind.uri: kind.status for kind in TYPES.values()}


def exposed() -> dict[str, set[str]]:
    """Every metric of ours with its labels, from an exposition in which each has a value."""
    metrics = Metrics()
    metrics.follow_connections(lambda: 0, lambda: 0)
    metrics.follow_held(lambda: 0)
    metrics.follow_callbacks(lambda: {"dead": 1})
    metrics.submitted("accepted")
    metrics.finished(Verdict.OK)
    metrics.answered("GET /", 200, 0.1)
    text = metrics.render().decode()
    names = [name for name, kind in re.findall(r"^# TYPE (holdfast_\S+) (\w+)$", text, re.MULTILINE)]
    found: dict[str, set[str]] = {}
    for name in names:
        if not name.endswith("_created"):  # the library's own, beside each counter
            labels = re.findall(rf"^{name}(?:_bucket)?\{{(.*)\}} ", text, re.MULTILINE)
            found[name] = {label for one in labels for label in re.findall(r'(\w+)="', one)} - {"le"}
    return found


def test_every_metric_is_described_with_its_labels_and_no_other() -> None:
    described = {codes(row[0])[0]: set(codes(row[1])) for row in rows(section(EXECUTION, "## Metrics"))}
    assert described == exposed()


def test_every_outcome_of_a_submission_is_named() -> None:
    (row,) = [row for row in rows(section(EXECUTION, "## Metrics")) if "_submissions_" in row[0]]
    refused = get_args(get_type_hints(Refused)["reason"])
    # Who submits too fast is turned away at the door, before the queue is asked.
    assert set(codes(row[2])) == {"accepted", "repeated", *refused} - {"submit_rate"}


def test_every_verdict_is_described_and_no_other() -> None:
    assert first_codes(EXECUTION, "## States and verdicts") == [verdict.value for verdict in Verdict]


def test_every_event_is_described_and_no_other() -> None:
    kinds = get_args(get_type_hints(Event)["kind"])
    assert set(first_codes(EXECUTION, "## Watch it")) == set(kinds)


def test_every_role_is_described_with_its_scopes() -> None:
    scopes = {scope.value for scope in Scope}
    described = {
        codes(row[0])[0]: set(codes(row[1])) & scopes for row in rows(section(EXECUTION, "## Keys, roles, audit"))
    }
    assert described == {name: {scope.value for scope in held} for name, held in ROLES.items()}


def test_every_action_in_the_audit_trail_is_named_and_no_other() -> None:
    written = {ast.literal_eval(call.args[1]) for call in calls("execution/shell/api", "note")}
    written |= {ast.literal_eval(call.args[1]) for call in calls("identity", "_entry")}
    for call in calls("identity", "AuditEntry"):
        written |= {
            word.value.value for word in call.keywords if word.arg == "action" and isinstance(word.value, ast.Constant)
        }
    named = {
        name for name in codes(section(EXECUTION, "## Keys, roles, audit")) if re.fullmatch(r"[a-z_]+\.[a-z_]+", name)
    }
    assert named == written


def test_every_field_of_a_submission_is_described_and_no_other() -> None:
    table = section(EXECUTION, "## Submit").partition("\nLimits of a job that asks for none")[0]
    assert {name for row in rows(table) for name in codes(row[0])} == set(SubmissionBody.__struct_fields__)


def test_every_reason_of_the_scaling_signal_is_described_and_no_other() -> None:
    known = re.findall(r"``([a-z ]+)``", inspect.getsource(scaling.Signal))
    assert sorted(first_codes(EXECUTION, "## Scaling")) == sorted(known)


def test_every_tier_is_described() -> None:
    assert first_codes(SANDBOX, "## Tiers") == list(get_args(Tier))


def test_every_page_of_the_console_is_described_and_no_other() -> None:
    paths = {path for handler in HANDLERS if "GET" in handler.http_methods for path in handler.paths}
    pages = {re.sub(r"\{(\w+):\w+\}", r"{\1}", path) for path in paths if not path.startswith("/static/")}
    described = {path for row in rows(CONSOLE) for path in codes(row[0])}
    assert described == pages - {"/jobs/{id}/events", "/events"}  # not pages, but what keeps them live


# ---------------------------------------------------------------- figures


def amount(text: str) -> float:
    """``60 s``, ``256 MiB``, ``64``, the beginning of a cell."""
    number = re.match(r"([\d,]+) ?(\w*)", text)
    assert number is not None, text
    digits, unit = number[1].replace(",", ""), number[2]
    if unit in {"s", "ms", "min", "d"}:
        return float(Duration.parse(digits + {"min": "m"}.get(unit, unit)))
    return float(Size.parse(digits + unit)) if unit.endswith("B") else float(digits)


def test_limits_have_the_defaults_and_ceilings_that_are_described() -> None:
    described = {
        codes(row[0])[0]: (amount(row[1]), amount(row[2]))
        for row in rows(section(EXECUTION, "## Submit").partition("\nLimits of a job that asks for none")[2])
    }
    limits, ceilings = LimitSettings(), CeilingSettings()
    assert described == {
        name: (float(getattr(limits, name)), float(getattr(ceilings, name))) for name in limits.__struct_fields__
    }


def test_things_are_kept_for_as_long_as_is_described() -> None:
    described = {
        codes(row[1])[0].removeprefix("retention."): amount(row[2])
        for row in rows(section(EXECUTION, "## What is kept, and for how long"))
    }
    kept = RetentionSettings()
    assert described == {name: float(getattr(kept, name)) for name in kept.__struct_fields__}


def test_caps_are_those_of_the_scheduler() -> None:
    fairness = FairnessSettings()
    table = [row for row in rows(section(QUEUE, "## Who goes next")) if row[0][0].isdigit()]
    for row in table:
        for slots in map(int, row[0].split(",")):
            caps = (
                heavy_cap(slots, fairness),
                max(1, int(fairness.tenant_share * slots)),
                int(fairness.reserve_share * slots),
            )
            assert caps == tuple(map(int, row[1:])), slots
    assert len(table) == 4


def starts(number: int, *, cost_us: Mapping[str, int], weights: Mapping[str, float]) -> Counter[str]:
    """How often each tenant is started when all have plenty queued."""
    left = {
        tenant: [Candidate(id=f"{tenant}{i}", cost_us=cost, order=i) for i in range(number)]
        for tenant, cost in cost_us.items()
    }
    books = dict.fromkeys(cost_us, (0, 0))
    turn, started = 0, Counter[str]()
    for _ in range(number):
        queues = [
            TenantQueue(
                tenant=tenant,
                weight=weights.get(tenant, 1.0),
                deficit_us=books[tenant][0],
                turn=books[tenant][1],
                fresh=False,
                running=0,
                light=waiting,
                heavy=(),
            )
            for tenant, waiting in left.items()
        ]
        decision = schedule(queues, free=1, slots=4, running=0, running_heavy=0, turn=turn, settings=FairnessSettings())
        turn = decision.turn
        for pick in decision.picks:
            started[pick.tenant] += 1
            left[pick.tenant].pop(0)
        books |= {one.tenant: (one.deficit_us, one.turn) for one in decision.tenants}
    return started


def test_the_worked_example_comes_out_as_it_is_told() -> None:
    assert starts(40, cost_us={"a": 50_000, "b": 200_000}, weights={}) == {"a": 32, "b": 8}
    assert starts(60, cost_us={"a": 50_000, "b": 50_000}, weights={"b": 2.0}) == {"a": 20, "b": 40}
    text = section(QUEUE, "## Who goes next")
    assert "Of the next 40 starts a gets 32 and b 8" in text
    assert "of 60 starts a would get 20 and b 40" in text


def test_a_sandbox_sees_the_devices_and_the_environment_that_are_described() -> None:
    described = {row[0]: codes(row[1]) for row in rows(section(SANDBOX, "## What a program sees")) if row[0]}
    words = root.bubblewrap("bwrap", uid=1, gid=1, environment={}, files={})
    bound = [words[place + 1] for place, word in enumerate(words) if word == "--dev-bind"]
    assert [f"/dev/{name}" for name in described["devices"]] == bound
    assert {word.partition("=")[0] for word in described["environment"]} == set(root.ENVIRONMENT)
    assert {f"{name}={value}" for name, value in root.ENVIRONMENT.items()} - set(described["environment"]) == {
        f"PATH={root.ENVIRONMENT['PATH']}"
    }


# ---------------------------------------------------------------- examples


def test_the_function_that_verifies_callbacks_does() -> None:
    example = re.search(r"```python\n(.*?)```", EXECUTION, re.DOTALL)
    assert example is not None
    names: dict[str, Any] = {}
    exec(example[1], names)
    secrets = ["whsec_" + "QUFB" * 10, "whsec_" + "QkJC" * 10]
    headers = sign(secrets, id="job-1", timestamp=int(time.time()), body=b"{}")
    assert all(names["genuine"](secret, headers, b"{}") for secret in secrets)
    assert not names["genuine"](secrets[0], headers, b"{ }")
    assert not names["genuine"]("whsec_" + "Q0ND" * 10, headers, b"{}")
    old = sign(secrets, id="job-1", timestamp=int(time.time()) - 301, body=b"{}")
    assert not names["genuine"](secrets[0], old, b"{}")


@pytest.mark.parametrize("page", ["README.md", "docs/sandbox.md", "docs/console.md"])
def test_an_example_of_a_configuration_is_sound(page: str, tmp_path: Any) -> None:
    example = re.search(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert example is not None
    file = tmp_path / "holdfast.yaml"
    file.write_text(example[1])
    load(file, environ={}, ports=False)


HOLES = [
    (path, test)
    for row in rows(section(QUEUE, "## Holes that naive queues have"))
    for path, test in re.findall(r"\(\.\./(tests/[^)]+)\) `(test_\w+)`", row[2])
]


@pytest.mark.parametrize(("path", "test"), HOLES, ids=[test for _, test in HOLES])
def test_a_hole_that_is_called_closed_has_its_test(path: str, test: str) -> None:
    assert re.search(rf"^(?:async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_every_hole_names_a_test() -> None:
    assert len(HOLES) == len(rows(section(QUEUE, "## Holes that naive queues have")))


@pytest.mark.parametrize(
    ("message", "module"),
    [
        ("no control group can limit {} here", "execution/shell/sandbox/pool.py"),
        ("for development only, set execution.worker.tier to degraded", "execution/shell/sandbox/pool.py"),
        ("execution.worker.api_key is missing; make one with", "execution/shell/worker/serve.py"),
        ("a sandbox cannot run a program", "execution/shell/worker/serve.py"),
        ("no sandbox ran a program within {} s", "execution/shell/worker/serve.py"),
        ("no answer", "execution/shell/worker/worker.py"),
        ("the store does not answer", "web/exchange.py"),
        ("lies outside of what sandboxes see", "execution/shell/languages/detection.py"),
        ("was silent for {} s", "execution/shell/queue/upkeep.py"),
        ("was started anew", "execution/shell/queue/giving.py"),
        ("no sandbox could be had: ", "execution/shell/worker/claims.py"),
        ("this worker does not offer ", "execution/shell/worker/claims.py"),
        ("slot_broken", "execution/shell/sandbox/pool.py"),
    ],
)
def test_a_message_in_troubleshooting_is_the_one_that_the_code_prints(message: str, module: str) -> None:
    shown = re.escape(message).replace(r"\{\}", ".+")
    assert re.search(shown, section(TROUBLESHOOTING, "## Code execution"))
    assert message in texts(module)
    assert (SOURCE / module).exists()
