"""What a sandbox is shown."""

from __future__ import annotations

from itertools import pairwise

from holdfast.execution.shell.sandbox import root


def words() -> list[str]:
    return root.bubblewrap("/usr/bin/bwrap", uid=7, gid=8, environment=root.ENVIRONMENT, files={"/etc/passwd": 5})


def test_nothing_of_the_machine_is_bound_but_usr_and_parts_of_etc() -> None:
    bound = [source for flag, source in pairwise(words()) if flag == "--ro-bind"]
    assert "/usr" in bound
    assert not [path for path in bound if not path.startswith(("/usr", "/etc/", "/lib", "/bin", "/sbin"))]
    assert not [path for path in bound if path in {"/etc", "/etc/shadow", "/etc/passwd", "/etc/ssh"}]


def test_every_namespace_is_new_and_the_environment_is_ours() -> None:
    assert {"--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--clearenv"} <= set(words())
    assert words()[-6:] == ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]


def test_the_slots_user_has_a_name_and_no_other_user_is_named_but_root() -> None:
    contents = root.contents(7, 8)
    assert [line.split(b":")[0] for line in contents["/etc/passwd"].splitlines()] == [b"root", b"sandbox"]
    assert b":7:8:" in contents["/etc/passwd"]


def test_writable_file_systems_are_bounded_in_bytes_and_files_and_never_hold_devices() -> None:
    mounts = {target: (flags, options) for _, target, flags, options in root.mounts(size_bytes=4096, files=9)}
    for target in (b"/job", b"/tmp"):
        flags, options = mounts[target]
        assert flags & 6 == 6, "nosuid, nodev"
        assert options.startswith(b"size=4096,nr_inodes=9,")
