"""The pages on the balancer say what the code does, where a machine can compare the two."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple, cast, get_args

import pytest
from litestar import Litestar

from holdfast.balancer.core.events import State
from holdfast.balancer.shell import admin
from holdfast.balancer.shell.metrics import CATALOGUE
from holdfast.proxy.accesslog import AccessRecord
from tests.unit.house.pages import ROOT, SOURCE, calls, codes, rows, section, texts

BALANCER = (ROOT / "docs" / "balancer.md").read_text()
DATA_PLANE = (ROOT / "docs" / "data-plane.md").read_text()
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()

FROM_BACKEND = 502
"""The status of a fault in a backend's answer; clients are told ``backend_protocol``."""


class Fault(NamedTuple):
    status: int
    reason: str


def faults(folder: str, *names: str) -> set[Fault]:
    """The literal ``(status, reason, ...)`` arguments of such calls."""
    return {
        Fault(cast("int", call.args[0].value), cast("str", call.args[1].value))
        for call in calls(folder, *names)
        if len(call.args) > 1 and isinstance(call.args[0], ast.Constant) and isinstance(call.args[1], ast.Constant)
    }


def failed_attempts() -> set[Fault]:
    """How the proxy answers for each class of failed attempts."""
    tree = ast.parse((SOURCE / "proxy" / "answers.py").read_text())
    table = next(n for n in tree.body if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "FAILURES")
    assert table.value is not None
    return {Fault(status, reason) for status, reason, _ in ast.literal_eval(table.value).values()}


ERRORS = section(DATA_PLANE, "## Errors that the balancer answers itself")
ANSWERED = {Fault(int(row[0]), codes(row[1])[0]) for row in rows(ERRORS) if row[0].isdigit()}
FAULTS_OF_BACKENDS = {codes(row[0])[0] for row in rows(ERRORS) if not row[0].isdigit()}
BAD_MESSAGES = faults("http1", "BadMessage") | faults("proxy", "BadMessage")


def test_every_error_that_a_client_can_get_is_in_the_table_and_no_other() -> None:
    refusals = {fault for fault in BAD_MESSAGES if fault.status != FROM_BACKEND}
    assert refusals | failed_attempts() | faults("proxy", "_refuse", "send_error") == ANSWERED


def test_every_fault_of_an_answer_is_in_the_table_and_no_other() -> None:
    assert {fault.reason for fault in BAD_MESSAGES if fault.status == FROM_BACKEND} == FAULTS_OF_BACKENDS


def test_what_is_counted_without_an_answer_is_named() -> None:
    arguments = [call.args[0] for call in calls("proxy", "count_client_error")]
    counted = {str(argument.value) for argument in arguments if isinstance(argument, ast.Constant)}
    assert {reason for reason in counted if f"`{reason}`" not in ERRORS} == set()


def test_every_metric_is_described_with_its_labels() -> None:
    described = {
        codes(row[0])[0]: tuple(codes(row[1])) for row in rows(section(BALANCER, "## Metrics")) if codes(row[0])
    }
    assert described == {name: family.labels for name, family in CATALOGUE.items()}


def test_every_state_is_described() -> None:
    described = [codes(row[0])[0] for row in rows(section(BALANCER, "## States of a backend"))]
    assert sorted(described) == sorted(get_args(State))


def test_every_field_of_the_access_log_is_described_in_its_order() -> None:
    described = [codes(row[0])[0] for row in rows(section(DATA_PLANE, "## The access log"))]
    assert described == list(AccessRecord.__struct_fields__)


def endpoints() -> set[tuple[str, str]]:
    app = admin.admin_app(cast("admin.ControlPlane", None))
    while not isinstance(app, Litestar):  # the gate stands before the application
        app = next(value for value in vars(app).values() if callable(value))
    ours = {route for route in app.routes if not route.path.startswith("/schema")}
    return {
        (method, re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path))
        for route in ours
        for method in route.methods
        if method in {"GET", "POST"}
    }


def test_every_endpoint_of_the_admin_plane_is_described() -> None:
    described = {
        (method, path)
        for row in rows(section(BALANCER, "## The admin plane"))
        for method, path in re.findall(r"`(GET|POST) (/[^`?]*)", row[0])
    }
    assert described - {("GET", "/schema")} == endpoints()


@pytest.mark.parametrize(
    ("message", "module"),
    [
        ("no backend of pool {} is in rotation; /admin/backends says why", "proxy/exchange.py"),
        ("pool {} has no free place ({}: this worker has {} requests in flight and {} waiting)", "proxy/exchange.py"),
        ("no connection to a backend could be made", "proxy/answers.py"),
        ("the backend closed the connection before it answered", "proxy/answers.py"),
        ("the backend's answer was not valid HTTP", "proxy/answers.py"),
        ("the backend did not answer in time", "proxy/answers.py"),
        ("no backend answered within the time of the pool", "proxy/exchange.py"),
        ("silent in the middle of an answer", "proxy/exchange.py"),
        ("An operator drained it", "balancer/core/explain.py"),
        ("Its weight is 0", "balancer/core/explain.py"),
        ("Active checks took it out", "balancer/core/explain.py"),
        ("Traffic: a trial request failed", "balancer/core/explain.py"),
        ("On trial after opening", "balancer/core/explain.py"),
        ("It flapped too much", "balancer/core/explain.py"),
        ("The pool cannot do without it, so it stays with ", "balancer/core/explain.py"),
        ("cannot change while running", "balancer/shell/master.py"),
        ("reload refused", "balancer/shell/master.py"),
        ("worker ended", "balancer/shell/master.py"),
        ("worker hangs", "balancer/shell/crew.py"),
        ("worker does not apply", "balancer/shell/crew.py"),
        ("giving up", "balancer/shell/crew.py"),
        ("read its log lines above, and check memory, files and ports", "balancer/shell/workers.py"),
        ("discovery failed", "balancer/shell/discovery.py"),
    ],
)
def test_a_message_in_troubleshooting_is_the_one_that_the_code_prints(message: str, module: str) -> None:
    shown = re.escape(message).replace(r"\{\}", r"[^\s]+")
    assert re.search(shown, TROUBLESHOOTING)
    assert message in texts(module)
