"""What every test gets, and what it must leave behind: nothing."""

from __future__ import annotations

import asyncio
import os
import warnings
from typing import TYPE_CHECKING

import hypothesis
import pytest
import uvloop
from xdist.scheduler import LoadScopeScheduling

from tests.databases import database, postgresql_server, store_settings
from tests.leaks import Watch, pending_tasks_noted
from tests.machine import free_port, require_tool
from tests.measuring import at_full_speed, leave_children_unmeasured

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from xdist.remote import Producer

__all__ = [
    "at_full_speed",
    "database",
    "free_port",
    "postgresql_server",
    "require_tool",
    "store_settings",
]

# Tests whose subjects are processes and sockets, and the group of each: the first that fits. A group runs one test
# after the other on one worker; the groups run side by side, because most of their time is waiting. Conformance is
# apart: its PostgreSQL is started once per worker. The rest, a quick drill too, goes to whoever is free.
_WITH_PROCESSES = {
    "tests/integration/drills/test_quick.py": None,
    "tests/integration/execution/": "sandboxes",
    "tests/integration/console/": "sandboxes",
    "tests/e2e/console/": "sandboxes",
    "tests/integration/": "processes",
    "tests/e2e/": "platform",
    "tests/conformance/": "stores",
}
_FAILED = pytest.StashKey[bool]()

# A shared machine makes deadlines of single examples a matter of luck; `timeout` in pyproject bounds the whole test.
hypothesis.settings.register_profile("dev", max_examples=100, deadline=None)
# The same examples in every run: a red build means that the change broke something, not that today was unlucky.
hypothesis.settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_configure(config: pytest.Config) -> None:
    """In a worker, which is a process that coverage was to follow into; those that tests start are not."""
    if hasattr(config, "workerinput"):
        leave_children_unmeasured()


@pytest.hookimpl(optionalhook=True)  # xdist may be switched off
def pytest_xdist_auto_num_workers() -> int:
    """For ``-n auto``: twice the cores, because half of the workers wait for processes, timeouts and intervals."""
    return 2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2 * (os.cpu_count() or 1)


class _Groups(LoadScopeScheduling):  # type: ignore[misc]
    """What ``--dist loadgroup`` does by marks, which pytest-xdist 3.8 loses under pytest 9.2: largest groups first."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid) or nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Groups | None:
    """Keep tests of one kind off each other."""
    return _Groups(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a failure until the fixtures are torn down."""
    report = yield
    if report.when != "teardown" and report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session", autouse=True)
def uvloop_everywhere() -> Iterator[None]:
    """``asyncio.run`` in a test runs what production runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # policies go away in Python 3.16; until then they work
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        yield
        asyncio.set_event_loop_policy(None)


@pytest.fixture(scope="session")
def vega() -> None:
    """Vega's runtime, for tests that draw charts: it keeps two sockets of its loop for as long as the process lives."""
    import vl_convert

    spec = {"data": {"values": []}, "mark": "bar"}
    vl_convert.vegalite_to_svg(spec, vl_version="v5.21")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """For tests marked ``anyio``: asyncio on uvloop."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a task, a socket or a process.

    After a test that failed anyway only its processes are ended: its traceback keeps its sockets alive.
    """
    watch = Watch(orphans=request.node.nodeid.startswith(tuple(_WITH_PROCESSES)))
    with pending_tasks_noted(watch.tasks):
        yield
    if request.node.stash.get(_FAILED, False):
        watch.end_processes()
    elif leaks := watch.leaks():
        pytest.fail("left behind:\n  " + "\n  ".join(leaks), pytrace=False)


def _group(nodeid: str) -> str | None:
    return next((group for start, group in _WITH_PROCESSES.items() if nodeid.startswith(start)), None)
