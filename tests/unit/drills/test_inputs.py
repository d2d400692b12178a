"""What makes a record stale: all that its drill ran on, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from holdfast.drills.flapping import Flapping
from holdfast.drills.gateway_ledger import GatewayLedger
from holdfast.drills.inputs import closure, inputs_of
from holdfast.evidence import digest_files, project_root, stale_inputs
from tests.unit.evidence.records import small_record

ROOT: Final = project_root()


class Tiny:
    """A drill over one package."""

    packages = ("balancer", "drills")


Tiny.__module__ = "holdfast.drills.tiny"
FILES: Final = {
    "src/holdfast/drills/tiny.py": "from holdfast.drills.load import x\nif x:\n    from holdfast.drills import lazy\n",
    "src/holdfast/drills/load.py": 'START = ["-m", "holdfast.drills.backends"]\nCONFIG = "used.cfg"\n',
    "src/holdfast/drills/lazy.py": "",
    "src/holdfast/drills/backends.py": "import holdfast.drills.load\n",
    "src/holdfast/balancer/core/pool.py": "",
    "src/holdfast/balancer/rules.yaml": "",
    "benchmarks/peers/used.cfg": "",
    "requirements/runtime.txt": "",
}
OTHERS: Final = (
    "src/holdfast/drills/other.py",
    "src/holdfast/drills/catalog.py",
    "src/holdfast/gateway/core/wire.py",
    "benchmarks/peers/unused.cfg",
    "requirements/dev.txt",
    "docs/balancer.md",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in (*FILES, *OTHERS):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES.get(name, ""))
    return tmp_path


def test_inputs_are_the_packages_the_modules_led_to_the_peers_named_and_the_lock(project: Path) -> None:
    assert {path.relative_to(project).as_posix() for path in inputs_of(Tiny(), project)} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_change_of_any_input_makes_the_record_stale(project: Path, name: str) -> None:
    record = small_record(inputs=digest_files(inputs_of(Tiny(), project), project))
    assert stale_inputs(record, project) == ()
    (project / name).write_text(FILES[name] + "# changed\n")
    assert stale_inputs(record, project) == (name,)


@pytest.mark.parametrize("name", OTHERS)
def test_a_change_of_anything_else_does_not(project: Path, name: str) -> None:
    record = small_record(inputs=digest_files(inputs_of(Tiny(), project), project))
    (project / name).write_text("# changed\n")
    assert stale_inputs(record, project) == ()


def test_a_drill_of_the_balancer_does_not_depend_on_those_of_the_gateway() -> None:
    flapping = {path.name for path in closure(Flapping.__module__, ROOT / "src/holdfast/drills")}
    ledger = {path.name for path in closure(GatewayLedger.__module__, ROOT / "src/holdfast/drills")}
    assert {"flapping.py", "backends.py", "load.py", "findings.py", "peers.py"} <= flapping
    assert "gateway_ledger.py" in ledger - flapping
    assert "catalog.py" not in flapping | ledger


def test_a_drill_depends_on_the_peers_that_it_runs() -> None:
    names = {path.name for path in inputs_of(Flapping(), ROOT)}
    assert {"haproxy.cfg", "nginx.cfg", "runtime.txt"} <= names
    assert "haproxy.cfg" not in {path.name for path in inputs_of(GatewayLedger(), ROOT)}
