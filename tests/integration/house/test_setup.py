"""`scripts/setup` on machines that this one is not: every program it calls is scripted, so nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# A Python that notes what it is asked, and makes environments whose Python is itself.
PYTHON = """#!/bin/sh
echo "python $*" >>"$CALLS"
case "$*" in
  *"print("*) echo "${FAKE_VERSION:-3.12.1}" ;;
  *"sys.exit"*) case "${FAKE_VERSION:-3.12.1}" in 3.?.*|3.10.*) exit 1 ;; esac ;;
  *ensurepip*) [ -z "${FAKE_NO_VENV:-}" ] || [ -e "$CALLS.apt" ] ;;
  "-m venv"*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m pip"*) if [ -n "${FAKE_NO_NETWORK:-}" ]; then echo "some trouble"; exit 1; fi ;;
esac
"""
ID = '#!/bin/sh\necho "${FAKE_UID:-0}"\n'
# Runs apt-get only: the rest of what needs root would change this machine.
SUDO = """#!/bin/sh
[ -n "${FAKE_SUDO:-}" ] || exit 1
case "$*" in *apt-get*) shift; "$@" ;; esac
"""
APT = '#!/bin/sh\necho "apt-get $*" >>"$CALLS"\ntouch "$CALLS.apt"\n[ -z "${FAKE_NO_PACKAGES:-}" ]\n'


class Machine:
    """A checkout with the real script and locks, and a PATH on which scripted programs come first."""

    def __init__(self, home: Path) -> None:
        self.checkout = home / "checkout"
        self.calls_file = home / "calls"
        programs = home / "bin"
        for name in ("scripts", "requirements"):
            shutil.copytree(ROOT / name, self.checkout / name)
        shutil.copy(ROOT / "pyproject.toml", self.checkout)
        programs.mkdir()
        pythons = dict.fromkeys(("python3", "python3.13", "python3.12", "python3.11"), PYTHON)
        for name, text in {**pythons, "id": ID, "sudo": SUDO, "apt-get": APT}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.edit('sandbox_tools="bwrap:bubblewrap libseccomp.so.2:libseccomp2"', 'sandbox_tools=""')
        self.environment = {"PATH": f"{programs}:{os.defpath}", "CALLS": str(self.calls_file), "FAKE_UID": "1000"}

    def start(self, profile: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.checkout / "scripts" / "setup", profile],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def setup(self, profile: str, **environment: str) -> tuple[int, list[str]]:
        """Exit code and lines of output."""
        self.calls_file.write_text("")
        with self.start(profile, **environment) as process:
            output, _ = process.communicate(timeout=30)
        return process.returncode, output.splitlines()

    def want_tool(self, name: str) -> None:
        self.edit('test_tools="', f'test_tools="{name} ')

    def want_sandbox(self, *tools: str) -> None:
        self.edit('sandbox_tools="', f'sandbox_tools="{" ".join(tools)}')

    def edit(self, old: str, new: str) -> None:
        script = self.checkout / "scripts" / "setup"
        text = script.read_text()
        assert old in text
        script.write_text(text.replace(old, new, 1))

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines()

    @property
    def pip_calls(self) -> list[str]:
        return [call for call in self.calls if call.startswith("python -m pip install")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_fresh_machine_gets_an_environment_from_hashes_and_the_checkout_itself(machine: Machine) -> None:
    code, lines = machine.setup("runtime")
    assert (code, lines[0]) == (0, "setup: creating .venv with Python 3.12.1")
    assert lines[-1].startswith("setup: ready")
    *locked, project = machine.pip_calls
    assert [call.split()[-1] for call in locked] == ["requirements/build.txt", "requirements/runtime.txt"]
    assert all("--require-hashes" in call and "--no-deps" in call for call in locked)
    assert project.endswith("--no-deps --no-build-isolation -e .")


def test_a_second_run_does_nothing_and_says_nothing(machine: Machine) -> None:
    machine.setup("runtime")
    assert machine.setup("runtime") == (0, [])
    assert machine.pip_calls == []


def test_the_development_environment_serves_the_runtime_too(machine: Machine) -> None:
    machine.setup("dev")
    assert machine.setup("runtime") == (0, [])


def test_tests_after_a_first_run_only_add_what_is_missing(machine: Machine) -> None:
    machine.setup("runtime")
    code, lines = machine.setup("dev")
    assert code == 0
    assert not any("creating" in line for line in lines)
    assert any("--require-hashes -r requirements/dev.txt" in call for call in machine.pip_calls)


@pytest.mark.parametrize("lock", ["build", "runtime"])
def test_a_changed_lock_makes_the_environment_anew(machine: Machine, lock: str) -> None:
    machine.setup("runtime")
    with (machine.checkout / "requirements" / f"{lock}.txt").open("a") as file:
        file.write("# changed\n")
    assert machine.setup("runtime")[1][0].startswith("setup: creating .venv")


def test_another_python_makes_the_environment_anew(machine: Machine) -> None:
    machine.setup("runtime")
    assert machine.setup("runtime", FAKE_VERSION="3.13.0")[1][0] == "setup: creating .venv with Python 3.13.0"


def test_a_changed_pyproject_installs_the_checkout_again_but_no_package(machine: Machine) -> None:
    machine.setup("runtime")
    with (machine.checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert machine.setup("runtime")[0] == 0
    assert [call.endswith("-e .") for call in machine.pip_calls] == [True]


def test_a_python_that_is_too_old_is_named_with_the_way_to_a_newer_one(machine: Machine) -> None:
    code, lines = machine.setup("runtime", FAKE_VERSION="3.9.2")
    assert code == 1
    assert "python3 is Python 3.9.2; Holdfast needs 3.11 or newer" in lines[-1]
    assert "apt-get install python3" in lines[-1]


def test_a_missing_venv_module_is_installed_where_no_password_is_needed(machine: Machine) -> None:
    code, _ = machine.setup("runtime", FAKE_NO_VENV="yes", FAKE_SUDO="yes")
    assert code == 0
    (call,) = [call for call in machine.calls if call.startswith("apt-get")]
    assert call.endswith("install --no-install-recommends python3-venv")


def test_a_missing_venv_module_without_rights_ends_with_the_command_to_run(machine: Machine) -> None:
    code, lines = machine.setup("runtime", FAKE_NO_VENV="yes")
    assert code == 1
    assert lines[-1].endswith("run: sudo apt-get install python3-venv")
    assert not any(call.startswith("apt-get") for call in machine.calls)


def test_a_program_that_tests_need_is_installed_where_no_password_is_needed(machine: Machine) -> None:
    machine.want_tool("no-such-program")
    code, _ = machine.setup("dev", FAKE_SUDO="yes")
    assert code == 0
    assert any("install --no-install-recommends" in call and "no-such-program" in call for call in machine.calls)


def test_without_rights_the_tests_that_need_a_missing_program_are_announced_as_skipped(machine: Machine) -> None:
    machine.want_tool("no-such-program")
    code, lines = machine.setup("dev")
    assert code == 0
    assert "sudo apt-get install no-such-program" in lines[0]


def test_in_ci_a_missing_program_is_a_failure(machine: Machine) -> None:
    machine.want_tool("no-such-program")
    code, lines = machine.setup("dev", CI="true")
    assert code == 1
    assert "run: sudo apt-get install no-such-program" in lines[-1]


def test_running_the_platform_needs_no_program_of_the_tests(machine: Machine) -> None:
    machine.want_tool("no-such-program")
    code, lines = machine.setup("runtime", CI="true")
    assert code == 0
    assert not any("no-such-program" in line for line in lines)


def test_a_package_may_have_another_name_than_its_program_or_library(machine: Machine) -> None:
    machine.want_tool("no-such-program:program-package no-such.so.9:library-package libc.so.6:there-already")
    machine.setup("dev", FAKE_SUDO="yes")
    (call,) = [call for call in machine.calls if call.startswith("apt-get")]
    assert call.split("--no-install-recommends ")[1].split()[:2] == ["program-package", "library-package"]
    assert "there-already" not in call


def test_the_platform_gets_its_sandbox_where_no_password_is_needed(machine: Machine) -> None:
    machine.want_sandbox("no-such-sandbox:sandbox-package")
    code, lines = machine.setup("runtime", FAKE_SUDO="yes")
    assert code == 0
    assert any("install --no-install-recommends sandbox-package" in call for call in machine.calls)
    assert not any("running code needs" in line for line in lines)


@pytest.mark.parametrize("trouble", [{}, {"FAKE_SUDO": "yes", "FAKE_NO_PACKAGES": "yes"}])
def test_without_its_sandbox_the_platform_is_set_up_all_the_same(machine: Machine, trouble: dict[str, str]) -> None:
    machine.want_sandbox("no-such-sandbox:sandbox-package")
    code, lines = machine.setup("runtime", **trouble)
    assert code == 0
    assert any("to run code: sudo apt-get install sandbox-package" in line for line in lines)
    assert lines[-1].startswith("setup: ready")


def test_in_ci_a_missing_sandbox_is_a_failure(machine: Machine) -> None:
    machine.want_sandbox("no-such-sandbox:sandbox-package")
    code, lines = machine.setup("dev", CI="true")
    assert code == 1
    assert "run: sudo apt-get install sandbox-package" in lines[-1]


def test_a_package_that_apt_cannot_install_is_named_with_the_command_to_run(machine: Machine) -> None:
    machine.want_tool("no-such-program")
    code, lines = machine.setup("dev", FAKE_SUDO="yes", FAKE_NO_PACKAGES="yes")
    assert code == 1
    assert "run: apt-get update && apt-get install no-such-program" in lines[-1]


def test_a_failed_download_shows_what_pip_said_and_ends_with_the_reason(machine: Machine) -> None:
    code, lines = machine.setup("runtime", FAKE_NO_NETWORK="yes")
    assert code == 1
    assert "some trouble" in lines
    assert lines[-1].startswith("setup: error: pip could not install requirements/build.txt")


def test_a_run_after_a_failed_one_starts_over(machine: Machine) -> None:
    machine.setup("runtime", FAKE_NO_NETWORK="yes")
    code, lines = machine.setup("runtime")
    assert (code, lines[0].split(" with ")[0]) == (0, "setup: creating .venv")


def test_of_two_runs_at_once_one_works_and_the_other_waits(machine: Machine) -> None:
    machine.calls_file.write_text("")
    with machine.start("runtime") as first, machine.start("runtime") as second:
        outputs = [process.communicate(timeout=30)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted(bool(output) for output in outputs) == [False, True]
    assert sum("-m venv" in call for call in machine.calls) == 1


def test_an_unknown_profile_is_refused_with_the_usage(machine: Machine) -> None:
    assert machine.setup("everything") == (2, ["usage: scripts/setup runtime|dev"])
