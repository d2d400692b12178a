"""Configurations of the contenders, and reading what they report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from holdfast.drills import DrillError
from holdfast.drills.contenders import field_of
from holdfast.drills.ours import Holdfast, sum_metric
from holdfast.drills.peers import PEERS, HAProxy, Nginx
from holdfast.drills.throughput import parse_wrk
from tests.machine import require_tool

BACKENDS = {"a": 9001, "b": 9002}


@pytest.mark.parametrize("peer", PEERS)
def test_a_template_is_filled_in_completely(peer: type[HAProxy | Nginx], tmp_path: Path) -> None:
    require_tool(peer.program_name)
    contender = peer(backends=BACKENDS, workers=2, directory=tmp_path)
    contender.prepare()
    text = (tmp_path / peer.template).read_text()
    settings = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert not re.search(r"@[A-Z_]+@", settings)
    assert "127.0.0.1:9001" in settings
    assert "127.0.0.1:9002" in settings
    assert f":{contender.port}" in settings


def test_our_own_configuration_leaves_everything_but_the_backends_to_the_defaults(tmp_path: Path) -> None:
    contender = Holdfast(backends=BACKENDS, workers=2, directory=tmp_path)
    contender.prepare()
    section = json.loads(contender.config.read_text())["balancer"]
    assert section["pools"] == {
        "drill": {
            "backends": [{"id": "a", "url": "http://127.0.0.1:9001"}, {"id": "b", "url": "http://127.0.0.1:9002"}]
        }
    }


def test_a_missing_peer_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.drills.peers.shutil.which", lambda *_args, **_options: None)
    field, notes = field_of(without={})
    assert list(field) == ["holdfast", "control"]
    assert notes == (
        "without haproxy: haproxy is not installed; apt-get install haproxy",
        "without nginx: nginx is not installed; apt-get install nginx",
    )


def test_a_counter_is_summed_over_its_labels() -> None:
    text = '# TYPE x_total counter\nx_total{a="1"} 2.0\nx_total{a="2"} 3\nx_total_other{a="2"} 9\n'
    assert sum_metric(text, "x_total") == 5.0


def test_a_counter_without_samples_is_zero_and_an_undeclared_one_an_error() -> None:
    assert sum_metric("# TYPE x_total counter\n", "x_total") == 0.0
    with pytest.raises(DrillError, match="x_total"):
        sum_metric("", "x_total")


def test_the_report_of_wrk_is_read_with_its_errors() -> None:
    report = """Running 1s test @ http://127.0.0.1:1/64B
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
  28956 requests in 1.10s, 3.62MB read
  Socket errors: connect 0, read 1, write 2, timeout 3
  Non-2xx or 3xx responses: 4
Requests/sec:  28956.12
"""
    burst = parse_wrk(report)
    assert (burst.requests, burst.duration_s, burst.errors) == (28956, 1.10, 10)


def test_a_report_that_wrk_did_not_write_is_an_error() -> None:
    with pytest.raises(DrillError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused")
