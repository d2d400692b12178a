"""Files that come out of a sandbox, and what programs put in their place."""

from __future__ import annotations

from holdfast.execution.core.task import Ended, SandboxFile, StepOutcome
from tests.integration.execution.sandbox.harness import Host, compiling


def test_files_and_directories_come_back_with_their_modes(host: Host) -> None:
    script = "mkdir -p out/a; printf one > out/1; printf two > out/a/2; chmod +x out/a/2; printf no > other"
    outcome = host.task(compiling(script, keep=("out", "absent")))
    assert outcome.kept == (
        SandboxFile(path="out/1", data=b"one"),
        SandboxFile(path="out/a/2", data=b"two", executable=True),
    )


def test_what_was_kept_runs_in_another_sandbox(host: Host) -> None:
    kept = host.task(compiling("printf '#!/bin/sh\\necho kept' > prog; chmod +x prog", keep=("prog",))).kept
    assert [(file.path, file.executable) for file in kept] == [("prog", True)]


def test_links_pipes_sockets_and_devices_are_passed_over(host: Host) -> None:
    script = """
mkdir out; printf real > out/real; mkfifo out/fifo; ln -s /etc/passwd out/link; ln -s /proc/1/environ out/environ
ln -s / out/root; ln -s /dev/zero out/zero; ln -s /proc/self/fd/0 out/stdin
/usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("out/socket")'
"""
    outcome = host.task(compiling(script, keep=("out",)))
    assert outcome.kept == (SandboxFile(path="out/real", data=b"real"),)


def test_no_link_is_followed_in_the_middle_of_a_path(host: Host) -> None:
    script = "ln -s /etc etc; ln -s /proc/1 one; mkdir real; printf x > real/file; ln -s real link; printf y > plain"
    keep = ("etc/passwd", "one/environ", "link/file", "real/file", "plain/file", "plain")
    assert [file.path for file in host.task(compiling(script, keep=keep)).kept] == ["real/file", "plain"]


def test_a_path_that_is_a_pipe_or_a_link_itself_is_passed_over(host: Host) -> None:
    script = "mkfifo prog; ln -s /etc/passwd link"
    assert host.task(compiling(script, keep=("prog", "link"))).kept == ()


def test_nobody_swaps_a_file_while_it_is_read(host: Host) -> None:
    # The one who would swap is dead before the first file is opened.
    script = """
printf real > prog; ln -s /etc/passwd other
(while :; do mv -T other swap; mv -T prog other; mv -T swap prog; done) >/dev/null 2>&1 &
exit 0
"""
    for _ in range(5):
        kept = host.task(compiling(script, keep=("prog",))).kept
        assert kept in ((), (SandboxFile(path="prog", data=b"real"),))


def test_more_bytes_than_allowed_bring_nothing_back(host: Host) -> None:
    outcome = host.task(
        compiling("head -c 600k /dev/zero > a; head -c 600k /dev/zero > b", keep=("a", "b"), keep_bytes=2**20)
    )
    assert outcome.kept == ()
    assert _compiled(outcome.compile).message == "nothing was kept: more bytes than may be kept"


def test_a_sparse_file_does_not_count_less_than_it_reads(host: Host) -> None:
    outcome = host.task(compiling("truncate -s 15M sparse", keep=("sparse",), keep_bytes=2**20))
    assert outcome.kept == ()


def test_directories_without_end_bring_nothing_back(host: Host) -> None:
    script = "mkdir out; cd out; i=0; while [ $i -lt 100 ]; do mkdir d; cd d; i=$((i+1)); done; : > file"
    outcome = host.task(compiling(script, keep=("out",)))
    assert outcome.kept == ()
    assert "deep" in _compiled(outcome.compile).message


def test_a_name_that_is_no_utf_8_comes_back_as_it_is(host: Host) -> None:
    outcome = host.task(compiling("mkdir out; printf x > \"out/$(printf '\\377')\"", keep=("out",)))
    assert [file.path for file in outcome.kept] == ["out/\udcff"]


def test_the_program_runs_after_its_files_were_kept(host: Host) -> None:
    outcome = host.task(compiling("printf made > prog", keep=("prog",), run="cat prog"))
    assert outcome.kept == (SandboxFile(path="prog", data=b"made"),)
    assert outcome.run is not None
    assert (outcome.run.ended, outcome.run.stdout) == (Ended.EXITED, b"made")


def _compiled(outcome: StepOutcome | None) -> StepOutcome:
    assert outcome is not None
    return outcome
