"""The pages of the AI gateway against the code: what is lost in translation, errors, header fields, known providers."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import get_args

import pytest

from holdfast.gateway.core.endpoints import endpoint_of
from holdfast.gateway.core.money import configured, cost, usd, worst_case
from holdfast.gateway.core.outcome import Failure
from holdfast.gateway.core.settings import PriceSettings
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.dialects import dialects
from holdfast.gateway.core.wire.presets import PRESETS
from holdfast.gateway.errors import STATUS, Reason, Refused
from holdfast.gateway.shell.mock.orders import Orders, parse
from tests.conformance.gateway.test_translation import DIALECTS, LOST, LOST_OF_ANSWERS
from tests.unit.house.pages import ROOT, SOURCE, codes, rows, section

GATEWAY = (ROOT / "docs" / "gateway.md").read_text()
OPERATING = (ROOT / "docs" / "gateway-operating.md").read_text()
ACCOUNTING = (ROOT / "docs" / "gateway-accounting.md").read_text()
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()
MOCK = (ROOT / "docs" / "mock-provider.md").read_text()

Loss = dict[tuple[str, str, str], str]


def losses(table: list[list[str]]) -> Loss:
    """(from, to, what) -> why, of rows that name several protocols in a cell."""
    return {
        (here, there, what): why
        for what, froms, tos, why in table
        for there in codes(tos)
        for here in (codes(froms) or [name for name in DIALECTS if name != there])
    }


def test_what_a_conversation_loses_is_what_the_tests_of_the_translation_say() -> None:
    table = [row for row in rows(section(GATEWAY, "## What is translated")) if row[0] != "content_filter"]
    assert losses(table) == LOST


def test_what_an_answer_loses_is_what_the_tests_of_the_translation_say() -> None:
    table = [row for row in rows(section(GATEWAY, "## What is translated")) if row[0] == "content_filter"]
    assert losses(table) == dict(LOST_OF_ANSWERS)


def told(reason: Reason) -> list[str]:
    """Status and words of an error, in the protocols of the columns."""
    known, error = dialects(), Refused(reason, "x")
    status, body = known["openai"].write_error(error, request_id="")
    words = [body["error"]["type"], body["error"]["code"]]
    found = [f"{status} " + " ".join(f"`{word}`" for word in words if word)]
    for name, key in (("anthropic", "type"), ("gemini", "status")):
        status, body = known[name].write_error(error, request_id="")
        found.append(f"{status} `{body['error'][key]}`")
    return found


def test_every_reason_is_described_with_its_status_and_words_in_each_protocol() -> None:
    table = {codes(row[0])[0]: row[2:] for row in rows(section(GATEWAY, "## Errors"))}
    assert table == {reason: told(reason) for reason in STATUS}


def test_every_header_field_of_ours_is_described_and_no_other() -> None:
    text = "\n".join(path.read_text() for path in (SOURCE / "gateway" / "shell" / "plane").glob("*.py"))
    assert set(re.findall(r"x-holdfast-[a-z]+", section(GATEWAY, "## Header fields"))) == set(
        re.findall(r"x-holdfast-[a-z]+", text)
    )


def test_every_endpoint_that_is_described_is_a_model_s_work() -> None:
    described = [
        path.removeprefix("POST ").removeprefix("GET ")
        for row in rows(section(GATEWAY, "## Endpoints"))
        for path in codes(row[0])
    ]
    paths = [path if path.startswith("/") else f"/v1beta/models/MODEL{path}" for path in described]
    assert len(paths) == 14
    assert {path: endpoint_of(path).kind for path in paths if endpoint_of(path).kind == "control"} == {}


def test_every_known_provider_is_described_as_it_is_known() -> None:
    table = {
        codes(row[0])[0]: (codes(row[1])[0], codes(row[2])[:1], codes(row[3])[0])
        for row in rows(section(OPERATING, "## Providers that are known by name"))
    }
    assert table == {
        name: (preset.protocol, [] if preset.url is None else [preset.url], preset.auth)
        for name, preset in PRESETS.items()
    }


def test_every_failure_of_an_attempt_is_described_and_no_other() -> None:
    described = [name for row in rows(section(OPERATING, "## Health")) for name in codes(row[0])]
    assert sorted(described) == sorted(get_args(Failure))


def test_every_order_of_the_scripted_provider_is_described_and_no_other() -> None:
    described = [name for row in rows(section(MOCK, "## Orders")) for name in codes(row[0])]
    assert sorted(described) == sorted(field.name for field in fields(Orders))


@pytest.mark.parametrize("order", [code for row in rows(section(MOCK, "## Orders")) for code in codes(row[1])])
def test_an_example_of_an_order_can_be_read(order: str) -> None:
    assert parse(order)


def test_the_example_of_a_bill_can_be_computed_again() -> None:
    *attempts, together = rows(section(ACCOUNTING, "## A bill, recomputed by hand"))
    total = 0
    for row in attempts:
        read, cached, written = (int(cell) for cell in row[2:5])
        price = configured(
            PriceSettings(input=float(row[5]), cache_read=float(row[6]) if row[6] else None, output=float(row[7]))
        )
        used = cost(Usage(input_tokens=read, cache_read_tokens=cached, output_tokens=written), price)
        assert usd(used) == row[8], row[0]
        # And without our own code, in thousandths of a millionth of a dollar.
        rate = [round(1000 * float(cell or row[5])) for cell in row[5:8]]
        assert used == (read - cached) * rate[0] + cached * rate[1] + written * rate[2]
        total += used
    assert usd(total) == together[8]


def test_what_was_reserved_in_the_example_is_the_worst_case() -> None:
    text = section(ACCOUNTING, "## A bill, recomputed by hand")
    found = re.search(r"been ([\d,]+) estimated tokens at (\S+) and ([\d,]+) at (\S+): (\$[\d.]+\d)\.", text)
    assert found is not None
    read, dear, written, rate, reserved = found.groups()
    price = configured(PriceSettings(input=float(dear), output=float(rate)))
    assert usd(worst_case(int(read.replace(",", "")), int(written.replace(",", "")), price)) == reserved


WORDS = re.sub(r"\{[^}\n]*\}", "...", " ".join(path.read_text() for path in (SOURCE / "gateway").rglob("*.py")))


@pytest.mark.parametrize(
    "quoted", [code for row in rows(section(TROUBLESHOOTING, "## AI gateway")) for code in codes(row[0]) if " " in code]
)
def test_words_that_are_quoted_at_night_are_said(quoted: str) -> None:
    spoken = re.sub(r'"\s*f?"', "", WORDS)  # a text over several lines
    assert all(part in spoken for part in quoted.split("..."))
