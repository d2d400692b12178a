"""What is written into control groups, and what is read from them, on trees of plain files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.execution.shell.sandbox.cgroups import Group, Layout, Reading

V1 = {
    "memory": {
        "memory.limit_in_bytes": "9223372036854771712",
        "memory.memsw.limit_in_bytes": "9223372036854771712",
        "memory.swappiness": "60",
        "memory.max_usage_in_bytes": "5000",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    },
    "pids": {"pids.max": "max"},
    "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1", "cpu.shares": "1024"},
    "cpuacct": {"cpuacct.usage": "1500000000\n"},
}
V2 = {
    "memory.max": "max",
    "memory.swap.max": "max",
    "memory.peak": "7000\n",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n",
    "pids.max": "max",
    "cpu.max": "max 100000",
    "cpu.weight": "100",
    "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
    "cgroup.kill": "",
}


def populate(group: Path, files: dict[str, str]) -> None:
    group.mkdir(parents=True, exist_ok=True)
    for name, content in {"cgroup.procs": "", **files}.items():
        (group / name).write_text(content)


@pytest.fixture
def v1(tmp_path: Path) -> Callable[[], Group]:
    """A slot's group on a machine with version 1 alone."""
    for controller, files in V1.items():
        populate(tmp_path / controller / "slot", files)
        populate(tmp_path / controller / "home", {})
    return lambda: Group(Layout(v1={name: tmp_path / name for name in V1}), "slot", home="home", siblings=8)


@pytest.fixture
def v2(tmp_path: Path) -> Callable[[], Group]:
    """A slot's group on a machine with version 2 alone."""
    populate(tmp_path / "slot", V2)
    populate(tmp_path / "home", {})
    layout = Layout(v2=tmp_path, v2_controllers=frozenset({"memory", "pids", "cpu"}))
    return lambda: Group(layout, "slot", home="home", siblings=8)


def test_version_1_is_limited_swap_included(v1: Callable[[], Group], tmp_path: Path) -> None:
    v1().limit(memory_bytes=1 << 20, processes=10)
    memory = tmp_path / "memory" / "slot"
    assert (memory / "memory.limit_in_bytes").read_text().startswith("1048576")
    assert (memory / "memory.memsw.limit_in_bytes").read_text().startswith("1048576")
    assert (tmp_path / "pids" / "slot" / "pids.max").read_text().startswith("12"), "init and launcher come on top"
    assert (tmp_path / "cpu" / "slot" / "cpu.cfs_quota_us").read_text() == "100000"
    assert (tmp_path / "cpu" / "slot" / "cpu.shares").read_text().startswith("128")


def test_version_1_without_a_swap_limit_does_not_swap(v1: Callable[[], Group], tmp_path: Path) -> None:
    (tmp_path / "memory" / "slot" / "memory.memsw.limit_in_bytes").unlink()
    v1().limit(memory_bytes=1 << 20, processes=10)
    assert (tmp_path / "memory" / "slot" / "memory.swappiness").read_text().startswith("0")


def test_version_1_is_read(v1: Callable[[], Group]) -> None:
    assert v1().read() == Reading(cpu_s=1.5, oom_kills=2, memory_peak_bytes=5000)


def test_version_2_is_limited_swap_included(v2: Callable[[], Group], tmp_path: Path) -> None:
    v2().limit(memory_bytes=1 << 20, processes=10)
    slot = tmp_path / "slot"
    assert (slot / "memory.max").read_text() == "1048576"
    assert (slot / "memory.swap.max").read_text().startswith("0")
    assert (slot / "pids.max").read_text().startswith("11"), "init comes on top"
    assert (slot / "cpu.max").read_text() == "100000 100000"
    assert (slot / "cpu.weight").read_text().startswith("12")


def test_version_2_is_read(v2: Callable[[], Group]) -> None:
    assert v2().read() == Reading(cpu_s=2.5, oom_kills=1, memory_peak_bytes=7000)


def test_the_launcher_joins_everything_and_stays_outside_of_what_jobs_are_limited_by(
    v1: Callable[[], Group], v2: Callable[[], Group]
) -> None:
    for make, joined, each in ((v1, 4, 1), (v2, 1, 1)):
        group = make()
        assert (len(group.all()), len(group.renew()), len(group.home())) == (joined, each, each)


def test_version_2_kills_everything_at_once_and_version_1_cannot(
    v1: Callable[[], Group], v2: Callable[[], Group], tmp_path: Path
) -> None:
    assert not v1().kill()
    assert v2().kill()
    assert (tmp_path / "slot" / "cgroup.kill").read_text() == "1"


def test_the_hybrid_layout_limits_by_version_1_and_kills_and_measures_by_version_2(tmp_path: Path) -> None:
    for controller, files in V1.items():
        populate(tmp_path / controller / "slot", files)
    populate(tmp_path / "unified" / "slot", {name: V2[name] for name in ("cpu.stat", "cgroup.kill")})
    places = {name: tmp_path / name for name in ("memory", "pids", "cpu")}
    group = Group(Layout(v1=places, v2=tmp_path / "unified"), "slot", home="home", siblings=8)
    assert group.read() == Reading(cpu_s=2.5, oom_kills=2, memory_peak_bytes=5000)
    assert group.kill()
    assert tmp_path / "cpuacct" / "slot" not in group.paths


def test_a_group_is_empty_when_no_process_of_a_job_is_in_it(v1: Callable[[], Group], tmp_path: Path) -> None:
    group = v1()
    (tmp_path / "pids" / "slot" / "cgroup.procs").write_text("17\n")  # the launcher
    assert group.empty()
    (tmp_path / "memory" / "slot" / "cgroup.procs").write_text("18\n")
    assert not group.empty()


def test_without_a_peak_the_reading_is_zero(v2: Callable[[], Group], tmp_path: Path) -> None:
    (tmp_path / "slot" / "memory.peak").unlink()
    assert v2().read().memory_peak_bytes == 0


def test_removing_leaves_nothing(tmp_path: Path) -> None:
    group = Group(Layout(v1={"memory": tmp_path}), "slot", home="home", siblings=8)
    assert asyncio.run(group.remove())
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_limit_with_limits_and_measures_nothing() -> None:
    group = Group(Layout(), "slot", home="home", siblings=8)
    group.limit(memory_bytes=1, processes=1)
    assert [group.limits_memory, group.limits_processes, group.measures_cpu] == [False] * 3
    assert (group.read(), group.empty(), group.paths) == (Reading(), True, ())
