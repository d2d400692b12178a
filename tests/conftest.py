"""What every test gets, and what it must leave behind: nothing."""

from __future__ import annotations

import asyncio
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import uvloop

from tests.databases import database, postgresql_server, store_settings
from tests.leaks import Watch, pending_tasks_noted
from tests.machine import free_port, require_tool

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["database", "free_port", "postgresql_server", "require_tool", "store_settings"]

ROOT = Path(__file__).parents[1]
# Directories of tests whose subjects are processes and sockets, and the xdist group of each: the first that fits. Two
# groups of about the same length, so that two cores are done at the same time; conformance is apart, because its
# PostgreSQL is started once per xdist worker.
_WITH_PROCESSES = {
    "integration/execution": "sandboxes",
    "integration/console": "sandboxes",
    "e2e/console": "sandboxes",
    "integration": "processes",
    "e2e": "processes",
    "conformance": "stores",
}
_FAILED = pytest.StashKey[bool]()

# A shared machine makes deadlines of single examples a matter of luck; `timeout` in pyproject bounds the whole test.
hypothesis.settings.register_profile("dev", max_examples=100, deadline=None)
# The same examples in every run: a red build means that the change broke something, not that today was unlucky.
hypothesis.settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that load the machine off each other: one xdist worker runs all of a group, one after the other."""
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))


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


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """For tests marked ``anyio``: asyncio on uvloop."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a task, a socket or a process.

    After a test that failed anyway only its processes are ended: its traceback keeps its sockets alive.
    """
    watch = Watch(orphans=_group(request.node) is not None)
    with pending_tasks_noted(watch.tasks):
        yield
    if request.node.stash.get(_FAILED, False):
        watch.end_processes()
    elif leaks := watch.leaks():
        pytest.fail("left behind:\n  " + "\n  ".join(leaks), pytrace=False)


def _group(item: pytest.Item) -> str | None:
    directory = item.path.relative_to(ROOT / "tests").as_posix()
    return next((group for name, group in _WITH_PROCESSES.items() if directory.startswith(f"{name}/")), None)
