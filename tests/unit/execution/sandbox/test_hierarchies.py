"""Where control groups are made, on trees that look like machines in the field."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.execution.shell.sandbox import hierarchies
from holdfast.execution.shell.sandbox.cgroups import Layout


def v2_group(
    path: Path, *, controllers: str = "memory pids cpu io", handed: str = "", procs: str = "", top: bool = False
) -> Path:
    """A directory like one of a version 2 hierarchy."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.controllers").write_text(controllers)
    (path / "cgroup.subtree_control").write_text(handed)
    (path / "cgroup.procs").write_text(procs)
    if top:
        return path
    (path / "cgroup.type").write_text("domain\n")
    return path


def v1_hierarchy(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "cgroup.procs").write_text("1\n")
    return path


def mount(path: Path, kind: str = "cgroup2", options: str = "rw") -> str:
    return f"30 20 0:26 / {path} rw,nosuid - {kind} {kind} {options}\n"


def test_version_1_limits_at_the_top_and_an_empty_version_2_kills(tmp_path: Path) -> None:
    memory, pids, both = (v1_hierarchy(tmp_path / name) for name in ("memory", "pids", "cpu,cpuacct"))
    unified = v2_group(tmp_path / "unified", controllers="")
    mountinfo = mount(memory, "cgroup", "rw,memory") + mount(pids, "cgroup", "rw,pids")
    mountinfo += mount(both, "cgroup", "rw,cpu,cpuacct") + mount(unified)
    layout = hierarchies.locate(mountinfo, "4:memory:/a\n0::/\n")
    assert layout.v1 == {"memory": memory, "pids": pids, "cpu": both, "cpuacct": both}
    assert (layout.v2, layout.v2_controllers) == (unified, frozenset())
    assert layout.place("memory") == memory


def test_a_group_in_which_we_are_alone_is_left_for_a_leaf_and_used(tmp_path: Path) -> None:
    own = v2_group(tmp_path / "a.service", procs=f"{os.getpid()}\n")
    v2_group(tmp_path)
    layout = hierarchies.locate(mount(tmp_path), "0::/a.service\n")
    assert layout.v2 == own
    assert layout.v2_controllers == {"memory", "pids", "cpu"}
    leaf = own / hierarchies.name("worker")
    assert (leaf / "cgroup.procs").read_text() == str(os.getpid())


def test_a_user_session_uses_the_slice_above_its_scope(tmp_path: Path) -> None:
    user = tmp_path / "user.slice" / "user-1000.slice" / "user@1000.service"
    slice_ = v2_group(user / "app.slice", handed="memory pids")
    v2_group(slice_ / "run-1.scope", controllers="memory pids", procs=f"{os.getpid()}\n4711\n")
    membership = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope\n"
    layout = hierarchies.locate(mount(tmp_path), membership)
    assert layout.v2 == slice_
    assert layout.v2_controllers >= {"memory", "pids"}


def test_a_group_without_the_controllers_is_passed_over(tmp_path: Path) -> None:
    v2_group(tmp_path, handed="memory pids cpu")
    v2_group(tmp_path / "a.scope", controllers="cpu", procs=f"{os.getpid()}\n1\n")
    assert hierarchies.locate(mount(tmp_path), "0::/a.scope\n").v2 == tmp_path


def test_a_group_with_processes_of_others_is_passed_over_except_at_the_top(tmp_path: Path) -> None:
    v2_group(tmp_path, procs="1\n2\n", top=True)
    v2_group(tmp_path / "session.scope", procs=f"{os.getpid()}\n4711\n")
    layout = hierarchies.locate(mount(tmp_path), "0::/session.scope\n")
    assert layout.v2 == tmp_path
    assert layout.v2_controllers == {"memory", "pids", "cpu"}


def test_a_group_outside_of_the_namespace_counts_as_the_top(tmp_path: Path) -> None:
    v2_group(tmp_path, handed="memory pids")
    assert hierarchies.locate(mount(tmp_path), "0::/../../elsewhere\n").v2 == tmp_path


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_without_write_permission_there_is_no_place(tmp_path: Path) -> None:
    v2_group(tmp_path, handed="memory pids").chmod(0o555)
    layout = hierarchies.locate(mount(tmp_path), "0::/\n")
    assert not layout.has("memory")


def test_a_machine_without_control_groups_has_no_place() -> None:
    layout = hierarchies.locate("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "")
    assert layout == Layout()
    assert not layout.has("memory")


def test_groups_of_dead_workers_are_removed_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    mine = tmp_path / hierarchies.name("0-1")
    recycled = tmp_path / hierarchies.name("0-1").replace(
        f".{os.getpid()}.", ".1."
    )  # the pid lives, the worker does not
    foreign = tmp_path / "holdfast.1.999999999.1.0-1"  # of another pid namespace: cannot be judged
    other = tmp_path / "holdfastish"
    for group in (mine, recycled, foreign, other):
        group.mkdir()
    assert hierarchies.remove_orphans(Layout(v1={"memory": tmp_path})) == 1
    assert sorted(tmp_path.iterdir()) == sorted([mine, foreign, other])
