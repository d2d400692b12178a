"""What makes a ``console:`` section sound."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.console import ConsoleSettings, validate
from holdfast.kernel import Duration
from holdfast.telemetry import is_secret_name


def test_the_defaults_and_a_full_section_are_sound() -> None:
    assert validate(ConsoleSettings()) == []
    full = ConsoleSettings(
        listen="[::1]:0",
        execution="http://127.0.0.1:8083",
        balancer="https://lb.example:8081/",
        session=Duration(600.0),
        demo_api_key="hf_x",
    )
    assert validate(full) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"listen": "8085"}, "listen"),
        ({"listen": "127.0.0.1"}, "listen"),
        ({"listen": "127.0.0.1:99999"}, "listen"),
        ({"listen": "http://127.0.0.1:1"}, "listen"),
        ({"listen": "a@b:1"}, "listen"),
        ({"session": Duration(1.0)}, "session"),
        ({"session": Duration(1e9)}, "session"),
        ({"execution": "127.0.0.1:8083"}, "execution"),
        ({"execution": "ftp://host"}, "execution"),
        ({"execution": "http://user:pw@host"}, "execution"),
        ({"execution": "http://host/path"}, "execution"),
        ({"execution": "http://host:99999"}, "execution"),
        ({"execution": "http://"}, "execution"),
        ({"balancer": "http://host?x"}, "balancer"),
        ({"demo_api_key": "hf_x"}, "demo_api_key"),
    ],
)
def test_what_cannot_work_is_named_with_a_remedy(changes: dict[str, Any], path: str) -> None:
    (problem,) = validate(ConsoleSettings(**changes))
    assert problem.path == (path,)
    assert problem.message
    assert problem.remedy


def test_the_key_of_the_demo_is_kept_out_of_logs() -> None:
    assert is_secret_name("demo_api_key")
