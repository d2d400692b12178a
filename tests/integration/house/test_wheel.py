"""What is published is the wheel, so the wheel is tested: built without a network, installed, run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import holdfast

ROOT = Path(__file__).parents[3]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command away from this checkout, so that nothing but what was installed can be found."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE", "PIP_"))
    }
    result = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=90,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy with the locked backend and no network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment with the wheel, and the locked packages of this one, but not this checkout."""
    home = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    install = ("-m", "pip", "--python", home / "bin" / "python", "install", "--quiet", "--no-deps", "--no-index", wheel)
    run(sys.executable, *install, cwd=home)
    python = home / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home))
    # A line of a .pth file adds a directory to the path but, unlike a site directory, does not run the .pth files
    # in it; the one that points an editable install back at this checkout is among those.
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"holdfast", f"holdfast-{holdfast.__version__}.dist-info"}


def test_every_file_of_the_source_is_in_the_wheel(wheel: Path) -> None:
    source = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert source - set(zipfile.ZipFile(wheel).namelist()) == set()
    assert "holdfast/py.typed" in source


def test_no_test_and_no_test_package_is_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if Path(name).name.startswith(("test_", "conftest")) or "/tests/" in name] == []


def test_the_licence_and_the_requirements_are_in_the_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        prefix = f"holdfast-{holdfast.__version__}.dist-info"
        metadata = archive.read(f"{prefix}/METADATA").decode()
        assert f"{prefix}/licenses/LICENSE" in archive.namelist()
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "License-Expression: Apache-2.0" in metadata
    assert f"Requires-Python: {wanted['requires-python']}" in metadata
    extras = wanted["optional-dependencies"]
    assert metadata.count("Requires-Dist: ") == len(wanted["dependencies"]) + sum(map(len, extras.values()))
    assert all(f"Provides-Extra: {extra}" in metadata for extra in extras)


def test_the_installed_package_is_the_one_from_the_wheel(installed: Path) -> None:
    found = run(installed / "python", "-c", "import holdfast; print(holdfast.__file__)", cwd=installed)
    assert Path(found).is_relative_to(installed.parent)


def test_the_installed_command_says_its_version(installed: Path) -> None:
    assert holdfast.__version__ in run(installed / "holdfast", "--version", cwd=installed)
