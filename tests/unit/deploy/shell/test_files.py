"""The readers of facts and prices: strict, and every mistake is said with its line and its remedy."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast.deploy.core.facts import Fact
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell import nodes
from holdfast.deploy.shell.files import load_facts, load_prices

AT = date(2026, 11, 23)
SOURCES = """\
sources:
  page: {title: A page, url: "https://example.com/page", retrieved: 2026-11-22}
"""
PLATFORM = """\
platforms:
  app-runner:
    name: AWS App Runner
    summary: Web services from an image.
    facts:
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def fact(tmp_path: Path, line: str, *, name: str, at: date = AT, region: str = "us-east-1") -> Fact:
    """The one fact of a file that states only that."""
    facts = load_facts(written(tmp_path / "facts.yaml", f"{SOURCES}{PLATFORM}      {line}\n"))
    return facts.get("app-runner", name, at=at, region=region)


def refused(tmp_path: Path, line: str) -> str:
    """What is said about a facts file whose line 8 is this."""
    path = written(tmp_path / "facts.yaml", f"{SOURCES}{PLATFORM}      {line}\n")
    with pytest.raises(Invalid) as caught:
        load_facts(path)
    assert caught.value.exit_code == 2
    text = str(caught.value)
    assert f"{path}:8: " in text, text
    return text


# ---------------------------------------------------------------- facts that are read


def test_durations_and_sizes_are_read_in_the_unit_of_their_property(tmp_path: Path) -> None:
    assert fact(tmp_path, "request_longest: {value: 2m, source: page}", name="request_longest").value == 120.0
    assert fact(tmp_path, "memory_most: {value: 12GiB, source: page}", name="memory_most").value == 12 * 2**30
    found = fact(tmp_path, "cpu_least: {value: 0.25, source: page}", name="cpu_least")
    assert (found.value, found.unit) == (0.25, "vCPU")


def test_flags_words_and_sets_are_read(tmp_path: Path) -> None:
    assert fact(tmp_path, "exec: {value: false, source: page}", name="exec").value is False
    assert fact(tmp_path, "isolation: {value: microvm, source: page}", name="isolation").value == "microvm"
    protocols = fact(tmp_path, "protocols: {value: [http/1.1, sse], source: page}", name="protocols")
    assert protocols.value == frozenset({"http/1.1", "sse"})
    nothing = fact(tmp_path, "capabilities: {value: [], source: page}", name="capabilities")
    assert nothing.known
    assert nothing.value == frozenset()


def test_a_fact_carries_its_source_date_and_confidence(tmp_path: Path) -> None:
    found = fact(tmp_path, 'gpu: {value: false, source: page, confidence: inferred, note: "no option"}', name="gpu")
    assert found.cited == "A page, retrieved 2026-11-22"
    assert (found.url, found.confidence, found.note) == ("https://example.com/page", "inferred", "no option")
    assert fact(tmp_path, "gpu: {value: false, source: page}", name="gpu").confidence == "documented"


def test_what_is_unknown_has_no_value_but_says_why(tmp_path: Path) -> None:
    found = fact(tmp_path, "gpu: {value: unknown, note: not in the API}", name="gpu")
    assert not found.known
    assert found.cited == "not known"
    assert found.note == "not in the API"


def test_facts_of_one_property_differ_in_time_and_region(tmp_path: Path) -> None:
    line = (
        "open_to_new_customers: [{value: true, valid_to: 2026-04-30, source: page},"
        " {value: false, valid_from: 2026-04-30, source: page},"
        " {value: true, valid_from: 2026-04-30, regions: [eu-west-1], source: page}]"
    )
    name = "open_to_new_customers"
    assert fact(tmp_path, line, name=name, at=date(2026, 4, 29)).value is True
    assert fact(tmp_path, line, name=name, at=date(2026, 4, 30)).value is False
    assert fact(tmp_path, line, name=name, at=date(2026, 4, 30), region="eu-west-1").value is True


def test_a_platform_takes_over_the_facts_of_one_above_unless_it_says_otherwise(tmp_path: Path) -> None:
    text = f"""{SOURCES}{PLATFORM}      gpu: {{value: false, source: page}}
      exec: {{value: false, source: page}}
  ecs-express:
    name: Express
    summary: Another.
    like: app-runner
    facts:
      exec: {{value: true, source: page}}
"""
    facts = load_facts(written(tmp_path / "facts.yaml", text))
    taken = facts.get("ecs-express", "gpu", at=AT, region="us-east-1")
    assert (taken.platform, taken.value) == ("ecs-express", False)
    assert facts.get("ecs-express", "exec", at=AT, region="us-east-1").value is True
    assert facts.get("app-runner", "exec", at=AT, region="us-east-1").value is False


# ---------------------------------------------------------------- facts that are refused


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gpus: {value: false, source: page}", "'gpus' is not known here"),
        ("gpu: {value: false, source: page, weight: 3}", "'weight' is not known here"),
        ("gpu: {value: yes, source: page}", "'yes' is not a flag"),
        ("gpu: {value: [true], source: page}", "a list where a flag belongs"),
        ("gpu: {source: page}", "'value' is missing"),
        ("gpu: true", "'true' where KEY: VALUE lines belong"),
        ("request_longest: {value: 120, source: page}", "'120' is not a duration"),
        ("memory_most: {value: 12, source: page}", "'12' is not a size"),
        ("cpu_most: {value: four, source: page}", "'four' is not a number"),
        ("cpu_most: {value: -4, source: page}", "'-4' is not a number of zero or more"),
        ("cpu_most: {value: .inf, source: page}", "'.inf' is not a number"),
        ("cpu_most: {value: 4, unit: cores, source: page}", "'cores' is not the unit of cpu_most"),
        ("isolation: {value: container, source: page}", "'container' is not a choice of this property"),
        ("protocols: {value: http/1.1, source: page}", "'http/1.1' where a list belongs"),
        ("protocols: {value: [http/1.1, smtp], source: page}", "'smtp' is not a word of this property"),
        ("protocols: {value: [sse, sse], source: page}", "'sse' is there twice"),
        ("gpu: {value: false}", "a value without its source"),
        ("gpu: {value: false, source: somewhere}", "'somewhere' is not one of the sources"),
        ("gpu: {value: unknown}", "unknown without a note"),
        ("gpu: {value: false, source: page, confidence: sure}", "'sure' is not a confidence"),
        ("gpu: {value: false, source: page, valid_from: soon}", "'soon' is not a day"),
        ("gpu: {value: false, source: page, valid_from: 2026-05-01, valid_to: 2026-04-30}", "is not after valid_from"),
        ("gpu: {value: false, source: page, valid_from: 2026-05-01, valid_to: 2026-05-01}", "is not after valid_from"),
        ("gpu: {value: false, source: page, regions: [europe]}", "'europe' is not a region"),
    ],
)
def test_a_fact_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    assert said in refused(tmp_path, line)


def test_a_property_of_an_ingress_is_refused_at_a_platform_that_is_none(tmp_path: Path) -> None:
    text = SOURCES + PLATFORM.replace("app-runner", "alb") + "      gpu: {value: false, source: page}\n"
    with pytest.raises(Invalid, match="gpu is about the compute, and alb is none"):
        load_facts(written(tmp_path / "facts.yaml", text))


def test_all_mistakes_of_a_file_are_said_at_once(tmp_path: Path) -> None:
    lines = (
        "      gpu: {value: maybe, source: page}\n      exec: {value: true}\n      exec: {value: true, source: page}\n"
    )
    path = written(tmp_path / "facts.yaml", SOURCES + PLATFORM + lines)
    with pytest.raises(Invalid) as caught:
        load_facts(path)
    said = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in said] == [f"{path}:10", f"{path}:8", f"{path}:9"]
    assert "'exec' is there twice, first in line 9" in said[0]
    assert caught.value.problems[1].path == ("platforms", "app-runner", "facts", "gpu", "value")
    assert caught.value.problems[1].value == "maybe"


def test_only_the_first_mistakes_of_many_are_shown(tmp_path: Path) -> None:
    lines = "".join(f"      nothing{index}: 1\n" for index in range(nodes.MAX_PROBLEMS + 3))
    with pytest.raises(Invalid, match="and 3 more") as caught:
        load_facts(written(tmp_path / "facts.yaml", SOURCES + PLATFORM + lines))
    assert len(str(caught.value).splitlines()) == nodes.MAX_PROBLEMS + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("- a\n- b\n", "a list where KEY: VALUE lines belong"),
        ("sources: {}\n", "'platforms' is missing"),
        ("sources: [\n", "not YAML"),
        ("sources: &a {}\nplatforms: *a\n", "anchors and aliases are not read"),
        ("? [a]\n: b\n", "a key that is not a word"),
        ("sources:\n  page: {title: A}\nplatforms: {}\n", "'retrieved' is missing"),
        ("sources:\n  page: {title: A, url: ftp://a, retrieved: 2026-01-01}\nplatforms: {}\n", "not an https address"),
        ("sources: {}\nplatforms:\n  heroku: {}\n", "'heroku' is not known here"),
        (
            "sources: {}\nplatforms:\n  alb: {name: A, summary: B, like: nlb}\n",
            "'nlb' is not a platform that stands above",
        ),
        ("sources: {}\nplatforms:\n  alb: {name: [A], summary: B}\n", "a list where a text belongs"),
        ("sources: {}\nplatforms: {}\nprices: {}\n", "'prices' is not known here"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Invalid, match=r"facts\.yaml") as caught:
        load_facts(written(tmp_path / "facts.yaml", text))
    assert said in str(caught.value)


def test_a_file_that_is_no_text_or_has_no_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "facts.yaml"
    with pytest.raises(Invalid, match="cannot be read"):
        load_facts(path)
    path.write_bytes(b"sources: \xff")
    with pytest.raises(Invalid, match="not UTF-8 at byte 9"):
        load_facts(path)
    path.write_bytes(b"#" * (nodes.MAX_BYTES + 1))
    with pytest.raises(Invalid, match="larger than 1024 KiB"):
        load_facts(path)
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(Invalid, match=":1: nested more than 12 deep"):
        load_facts(path)


# ---------------------------------------------------------------- prices


def priced(tmp_path: Path, line: str) -> Path:
    return written(tmp_path / "prices.yaml", f"{SOURCES}prices:\n  {line}\n")


def test_a_price_keeps_every_digit_and_its_source(tmp_path: Path) -> None:
    line = "lambda.gb_second: {unit: GB-s, source: page, note: first, usd: {us-east-1: 0.0000166667}}"
    price = load_prices(priced(tmp_path, line)).get("lambda.gb_second", region="us-east-1", at=AT)
    assert price.amount == Decimal("0.0000166667")
    assert (price.unit, price.source, price.retrieved, price.note) == ("GB-s", "A page", date(2026, 11, 22), "first")


def test_a_price_is_for_its_region_and_unknown_in_others(tmp_path: Path) -> None:
    table = load_prices(priced(tmp_path, "nat.hour: {unit: h, source: page, usd: {us-east-1: 0.045}}"))
    assert table.get("nat.hour", region="eu-west-1", at=AT).amount is None
    table = load_prices(priced(tmp_path, 'ipv4.hour: {unit: h, source: page, usd: {"*": 0.005}}'))
    assert table.get("ipv4.hour", region="eu-west-1", at=AT).amount == Decimal("0.005")


def test_prices_of_one_region_differ_in_time_and_may_have_their_own_source(tmp_path: Path) -> None:
    line = (
        "nat.hour: {unit: h, usd: {us-east-1: [{usd: 1, valid_to: 2027-01-01, source: page},"
        " {usd: 2, valid_from: 2027-01-01, source: page, note: dearer}]}}"
    )
    table = load_prices(priced(tmp_path, line))
    assert table.get("nat.hour", region="us-east-1", at=AT).amount == 1
    assert table.get("nat.hour", region="us-east-1", at=date(2027, 1, 1)).note == "dearer"


def test_a_table_says_for_how_long_a_price_is_fresh(tmp_path: Path) -> None:
    path = written(
        tmp_path / "prices.yaml",
        f"fresh_days: 30\n{SOURCES}prices:\n  a.b: {{unit: h, source: page, usd: {{us-east-1: 1}}}}\n",
    )
    table = load_prices(path)
    price = table.get("a.b", region="us-east-1", at=AT)
    assert not table.stale(price, at=date(2026, 12, 22))
    assert table.stale(price, at=date(2026, 12, 23))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nat: {unit: h, source: page, usd: {us-east-1: 1}}", "'nat' is not a key of a price"),
        ("nat.hour: {unit: hour, source: page, usd: {us-east-1: 1}}", "'hour' is not a unit"),
        ("nat.hour: {source: page, usd: {us-east-1: 1}}", "'unit' is missing"),
        ("nat.hour: {unit: h, source: page}", "'usd' is missing"),
        ("nat.hour: {unit: h, source: page, usd: {virginia: 1}}", "'virginia' is not a region"),
        ("nat.hour: {unit: h, source: page, usd: {us-east-1: 4.5 cents}}", "'4.5 cents' is not a number"),
        ("nat.hour: {unit: h, source: page, usd: {us-east-1: -1}}", "'-1' is not a number of zero or more"),
        ("nat.hour: {unit: h, source: page, usd: {us-east-1: NaN}}", "'NaN' is not a number of zero or more"),
        ("nat.hour: {unit: h, usd: {us-east-1: 1}}", "a value without its source"),
        ("nat.hour: {unit: h, source: other, usd: {us-east-1: 1}}", "'other' is not one of the sources"),
        ("nat.hour: {unit: h, usd: {us-east-1: unknown}}", "unknown without a note"),
        ("nat.hour: {unit: h, source: page, usd: {us-east-1: {eur: 1}}}", "'eur' is not known here"),
    ],
)
def test_a_price_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    path = priced(tmp_path, line)
    with pytest.raises(Invalid) as caught:
        load_prices(path)
    assert f"{path}:4: " in str(caught.value)
    assert said in str(caught.value)
