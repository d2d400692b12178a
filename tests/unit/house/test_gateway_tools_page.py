"""The page about tools, sessions and runs against the code: scopes, problems, events, bounds, its example."""

from __future__ import annotations

import re
from typing import get_args

import msgspec
import yaml

from holdfast.gateway.core import run_events
from holdfast.gateway.core.run_prompts import CALLS_PER_STEP, HISTORY_CHARACTERS, HISTORY_RUNS
from holdfast.gateway.core.runs import ENDED
from holdfast.gateway.core.settings import GatewaySettings
from holdfast.gateway.core.tools import ARGUMENTS_BYTES, NEEDED, RESULT_BYTES
from holdfast.gateway.core.validate import validate
from holdfast.gateway.shell.sessions.api import TEXT_CHARACTERS, MessageBody
from holdfast.gateway.shell.sessions.store import LEASE_S, QUEUED_OF_TENANT
from holdfast.gateway.shell.tools.broker import CALLS, CALLS_OF_TENANT
from holdfast.gateway.shell.tools.mcp import LONGEST_PAUSE_S, STARTS_PER_HOUR
from holdfast.gateway.shell.tools.problems import TYPES
from holdfast.identity import ROLES
from holdfast.web.problems import COMMON
from tests.unit.house.pages import ROOT, codes, rows, section

PAGE = (ROOT / "docs" / "gateway-tools.md").read_text()


def test_every_scope_of_a_tool_is_described_with_what_it_needs_and_who_has_it() -> None:
    table = {
        codes(row[0])[0]: (codes(row[1]), codes(row[2])) for row in rows(section(PAGE, "## What happens to a call"))
    }
    assert table == {
        scope: (list(needed), [role for role, scopes in ROLES.items() if set(needed) <= scopes])
        for scope, needed in NEEDED.items()
    }


def test_every_problem_of_its_own_is_described_with_its_status() -> None:
    described = {codes(row[0])[0]: int(row[1]) for row in rows(section(PAGE, "## Endpoints")) if len(row) == 3}
    assert described == {name: kind.status for name, kind in TYPES.items() if name not in COMMON}


def test_every_event_is_described_with_its_data() -> None:
    described = {codes(row[0])[0]: set(codes(row[1])) for row in rows(section(PAGE, "## Events"))}
    told = {each.__struct_config__.tag: set(each.__struct_fields__) for each in get_args(run_events.RunEvent)}
    assert set(described) == set(told)
    assert all(fields <= described[name] for name, fields in told.items())


def test_every_end_of_a_run_and_field_of_a_message_is_described() -> None:
    names = [codes(row[0])[0] for row in rows(section(PAGE, "## Runs"))]
    assert set(names) == ENDED | set(MessageBody.__struct_fields__)


def test_bounds_are_those_of_the_code() -> None:
    for words in (
        f"at most {ARGUMENTS_BYTES // 1024} KiB",
        f"at most {RESULT_BYTES // 2**20} MiB",
        f"At most {CALLS} calls at a time, {CALLS_OF_TENANT} of one tenant",
        f"up to {CALLS_PER_STEP} tools",
        f"{HISTORY_RUNS} at most, {HISTORY_CHARACTERS:,} characters",
        f"at most {TEXT_CHARACTERS:,} characters",
        f"at most {QUEUED_OF_TENANT:,} of a tenant",
        f"after {LEASE_S:g} s",
        f"{LONGEST_PAUSE_S:g} s at most, {STARTS_PER_HOUR} times an hour",
    ):
        assert words in PAGE, words


def test_the_example_is_a_configuration() -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    told = yaml.safe_load(found[1].replace("${EXECUTION_KEY}", "hf_x"))
    settings = msgspec.convert(told["gateway"], GatewaySettings, dec_hook=lambda kind, value: kind.parse(value))
    assert validate(settings) == []
