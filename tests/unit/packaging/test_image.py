"""The image: built from a pinned base and locked requirements, run by nobody, and what the templates expect."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch

import pytest

from holdfast.deploy.shell.template.ours import CONFIG, STATE
from holdfast.deploy.shell.template.tasks import USER
from tests.unit.packaging.manifests import DOCKERFILE, ROOT

DIGEST = "sha256:" + "0123456789abcdef" * 4
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def stage(name: str) -> str:
    return next(
        found[3]
        for found in re.finditer(r"^FROM (\S+) AS (\w+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
        if found[2] == name
    )


def guard(base: str) -> subprocess.CompletedProcess[str]:
    """What the first instruction of the build says to a base."""
    script = re.search(r"^RUN (case .*?esac)$", stage("build"), re.MULTILINE | re.DOTALL)
    assert script is not None
    shell = script[1].replace("\\\n", "")
    return subprocess.run(
        ["sh", "-c", shell], env={"BASE": base}, capture_output=True, text=True, timeout=10, check=False
    )


@pytest.mark.parametrize("base", ["python:3.13-slim", "", "python@sha256:beef", "python@md5:0123"])
def test_a_base_without_a_digest_ends_the_build_with_the_remedy(base: str) -> None:
    said = guard(base)
    assert said.returncode == 1
    assert "--build-arg BASE=NAME@sha256:DIGEST" in said.stderr


def test_a_base_with_a_digest_is_built_on() -> None:
    assert guard(f"python@{DIGEST}").returncode == 0


def test_no_base_is_preset_and_none_is_used_but_what_was_given() -> None:
    assert re.search(r"^ARG BASE$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}", "service"}


def test_whatever_is_installed_is_locked_with_hashes() -> None:
    installs = re.findall(r"install (?:--\S+ )*.*", stage("build").replace("\\\n", ""))
    for line in installs:
        assert "--require-hashes" in line or "--no-index" in line


def test_what_runs_has_neither_pip_nor_a_compiler_nor_root() -> None:
    assert "pip uninstall" in stage("service")
    assert "--without-pip" in stage("build")
    assert re.search(r"^USER (.*)$", stage("service"), re.MULTILINE)[1] == USER  # type: ignore[index]
    assert int(USER.partition(":")[0]) > 0
    assert "apt-get" not in stage("service")


def test_the_image_is_what_the_task_definitions_of_the_templates_expect() -> None:
    service = stage("service")
    assert CONFIG.rpartition("/")[0] in service
    assert f'VOLUME ["/tmp", "{STATE}"]' in service, "ECS gives volumes of other places to root"
    assert 'ENTRYPOINT ["holdfast"]' in service
    assert "STOPSIGNAL SIGTERM" in service
    # The backlog's sidecar is started as `python3 -m holdfast...`: that has to be the one that has Holdfast.
    assert re.search(r"^ENV PATH=/srv/holdfast/bin:", service, re.MULTILINE)


def test_the_sidecar_that_the_templates_start_is_a_module_of_the_image() -> None:
    command = [
        sys.executable,
        "-c",
        "import importlib.util as u; assert u.find_spec('holdfast.deploy.shell.backlog_metric')",
    ]
    subprocess.run(command, check=True, timeout=30, cwd=ROOT / "src")


def passes(path: str) -> bool:
    """Whether a file comes into the build, as ``.dockerignore`` has it: the last line that matches decides."""
    came = True
    for line in IGNORED:
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        prefixes = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        tried = [*prefixes, *parts] if line.startswith("**/") else prefixes
        if any(fnmatch(one, pattern) for one in tried):
            came = line.startswith("!")
    return came


def test_everything_that_is_copied_is_there_and_comes_into_the_build() -> None:
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists()
            assert passes(source)


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        "tests/unit/x.py",
        "evidence/burst/1.json",
        "var/demo.db",
        "holdfast.db",
        "packaging/secrets/PGPASSWORD",
        ".env",
        "src/holdfast/.env",
        "src/holdfast/agent.pem",
        "requirements/dev.txt",
        "src/holdfast/__pycache__/x.pyc",
    ],
)
def test_history_tests_data_and_secrets_stay_out_of_the_build(path: str) -> None:
    assert not passes(path)


def test_the_whole_lock_is_installed_from_wheels_by_their_hashes() -> None:
    text = " ".join(stage("build").replace("\\\n", " ").split())
    assert "install --no-deps --require-hashes --only-binary :all: -r requirements/runtime.txt" in text
