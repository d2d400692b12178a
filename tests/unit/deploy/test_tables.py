"""The facts and prices that the package carries: complete, cited, and what the page about them says."""

from __future__ import annotations

import re
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Final

import pytest

from holdfast.deploy.core.candidates import BY_ID, CANDIDATES
from holdfast.deploy.core.facts import Fact
from holdfast.deploy.core.prices import MONTH_HOURS
from holdfast.deploy.core.properties import PROPERTIES
from holdfast.deploy.shell.files import load_facts, load_prices
from tests.unit.house.pages import ROOT, codes, rows, section

FACTS: Final = load_facts()
PRICES: Final = load_prices()
PAGE: Final = (ROOT / "docs" / "deploy-facts.md").read_text()
DATA: Final = ROOT / "src" / "holdfast" / "deploy" / "data"
AT: Final = date(2026, 11, 23)
COMPUTE: Final = {candidate.compute for candidate in CANDIDATES}
PAIRS: Final = {name for name in BY_ID if "+" in name}
INGRESS: Final = {candidate.ingress for candidate in CANDIDATES if candidate.ingress}
EVERY: Final = [fact for several in FACTS.entries.values() for fact in several]


def value(platform: str, name: str, *, at: date = AT, region: str = "us-east-1") -> object:
    return FACTS.get(platform, name, at=at, region=region).value


def amount(key: str) -> Decimal:
    found = PRICES.get(key, region="us-east-1", at=AT).amount
    assert found is not None, key
    return found


# ---------------------------------------------------------------- every fact


def test_every_compute_platform_and_ingress_that_is_weighed_is_in_the_file() -> None:
    assert {platform.id for platform in FACTS.platforms} - PAIRS == COMPUTE | INGRESS
    assert all(platform.name and platform.summary.endswith(".") for platform in FACTS.platforms)


def test_every_property_of_every_platform_is_known_or_said_to_be_unknown() -> None:
    missing = [
        f"{platform}.{name}"
        for name, prop in PROPERTIES.items()
        for platform in sorted(COMPUTE if prop.about == "compute" else INGRESS)
        if (platform, name) not in FACTS.entries and name not in {"interruption_notice", "open_to_new_customers"}
    ]
    assert missing == []
    taken_away = {fact.platform for fact in EVERY if fact.name == "interruptible" and fact.value is True}
    assert taken_away == {fact.platform for fact in EVERY if fact.name == "interruption_notice"}


def test_nothing_is_known_without_a_source_and_a_day_and_nothing_unknown_without_a_reason() -> None:
    assert [fact.id for fact in EVERY if fact.known and not (fact.source and fact.retrieved)] == []
    assert [fact.id for fact in EVERY if not fact.known and not fact.note] == []


def test_only_operations_are_a_matter_of_judgement_and_they_always_are() -> None:
    judged = {fact.id for fact in EVERY if fact.confidence == "judged"}
    assert judged == {f"{name}.operations" for name in COMPUTE}
    assert all(0 <= Decimal(str(fact.value)) <= 10 for fact in EVERY if fact.name == "operations")


def test_no_fact_is_about_a_property_that_its_platform_does_not_have() -> None:
    assert {fact.platform for fact in EVERY if PROPERTIES[fact.name].about == "compute"} <= COMPUTE | PAIRS
    assert {fact.platform for fact in EVERY if PROPERTIES[fact.name].about == "ingress"} <= COMPUTE | INGRESS | PAIRS


def test_no_two_facts_of_one_property_hold_on_the_same_day_in_the_same_places() -> None:
    for (platform, name), several in FACTS.entries.items():
        ordered = sorted(several, key=lambda fact: (sorted(fact.regions), fact.valid_from or date.min))
        for former, later in pairwise(ordered):
            apart = former.regions != later.regions or (former.valid_to or date.max) <= (later.valid_from or date.min)
            assert apart, f"{platform}.{name}"


def test_the_least_of_a_platform_is_not_more_than_its_most() -> None:
    for platform in COMPUTE:
        for what in ("cpu", "memory"):
            least, most = value(platform, f"{what}_least"), value(platform, f"{what}_most")
            assert least is None or most is None or float(str(least)) <= float(str(most)), (platform, what)


def test_every_quota_says_of_what_it_is() -> None:
    assert [fact.id for fact in EVERY if fact.name == "quota" and fact.known and not (fact.unit and fact.note)] == []


# ---------------------------------------------------------------- facts that answers hang on


def test_app_runner_takes_new_customers_until_the_end_of_april_2026() -> None:
    assert value("app-runner", "open_to_new_customers", at=date(2026, 4, 29)) is True
    assert value("app-runner", "open_to_new_customers", at=date(2026, 4, 30)) is False
    assert [fact.name for fact in FACTS.changes("app-runner", after=date(2026, 1, 1))] == ["open_to_new_customers"] * 2


@pytest.mark.parametrize("platform", ["ecs-fargate", "ecs-fargate-spot", "ecs-express"])
def test_fargate_lets_no_sandbox_be_built_inside_it_however_it_is_reached(platform: str) -> None:
    assert value(platform, "user_namespaces") is False
    assert value(platform, "privileged") is False
    assert value(platform, "capabilities") == frozenset({"SYS_PTRACE"})


@pytest.mark.parametrize("platform", ["lambda-microvms", "ecs-ec2", "ecs-managed-instances"])
def test_sandboxes_can_be_built_where_all_capabilities_can_be_had(platform: str) -> None:
    assert value(platform, "user_namespaces") is True
    assert value(platform, "capabilities") == frozenset({"ALL"})
    assert value(platform, "isolation") in {"microvm", "instance"}


def test_express_leaves_listener_drain_and_rollout_to_its_own_interface() -> None:
    for name in ("ingress_configurable", "drain_configurable", "rollout_configurable"):
        assert value("ecs-express", name) is False
        assert value("alb" if name != "rollout_configurable" else "ecs-fargate", name) is True


def test_only_a_network_load_balancer_takes_raw_tcp_and_udp() -> None:
    raw = {"tcp", "udp"}
    carries = {fact.platform for fact in EVERY if fact.name == "protocols" and raw & set(fact.value or ())}  # type: ignore[arg-type]
    assert carries == {"nlb"}


def test_a_load_balancer_in_front_of_functions_carries_less_than_one_in_front_of_tasks() -> None:
    tasks, functions = (
        BY_ID[name].fact(FACTS, "protocols", at=AT, region="us-east-1").value
        for name in ("ecs-fargate+alb", "lambda+alb")
    )
    assert isinstance(tasks, frozenset)
    assert isinstance(functions, frozenset)
    assert tasks - functions == {"websocket", "sse", "grpc"}


def test_a_region_where_a_service_is_not_offered_is_told_from_one_where_it_is() -> None:
    regions = value("app-runner", "regions")
    assert isinstance(regions, frozenset)
    assert "eu-west-1" in regions
    assert "eu-north-1" not in regions
    assert value("lambda-microvms", "regions") == frozenset(
        {"us-east-1", "us-east-2", "us-west-2", "eu-west-1", "ap-northeast-1"}
    )


# ---------------------------------------------------------------- prices


def test_every_known_price_has_a_source_and_a_day_and_every_unknown_one_a_reason() -> None:
    every = [price for several in PRICES.entries.values() for price in several]
    assert [price.key for price in every if price.amount is not None and not (price.source and price.retrieved)] == []
    assert [price.key for price in every if price.amount is None and not price.note] == []
    assert all(price.unit for price in every)


@pytest.mark.parametrize(("cpu", "memory"), [("0.25", "0.5"), ("1", "2")])
def test_the_two_months_of_the_page_come_out_of_the_table(cpu: str, memory: str) -> None:
    app_runner = Decimal(memory) * amount("app_runner.gb_hour")
    task = Decimal(cpu) * amount("fargate.vcpu_hour") + Decimal(memory) * amount("fargate.gb_hour")
    express = task + amount("alb.hour") + 3 * amount("ipv4.hour")
    cents = [str((hour * MONTH_HOURS).quantize(Decimal("0.01"), ROUND_HALF_UP)) for hour in (app_runner, express)]
    assert [f"{cpu} vCPU, {memory} GB", *cents] in rows(section(PAGE, "## Prices"))


def test_the_price_of_spot_is_said_to_be_old() -> None:
    price = PRICES.get("fargate_spot.vcpu_hour", region="us-east-1", at=AT)
    assert PRICES.stale(price, at=AT)
    assert not PRICES.stale(PRICES.get("fargate.vcpu_hour", region="us-east-1", at=AT), at=AT)


# ---------------------------------------------------------------- the page


def test_the_page_lists_the_properties_as_the_code_has_them() -> None:
    listed = [[codes(row[0])[0], *row[1:4], row[4].replace("`", "")] for row in rows(section(PAGE, "## Properties"))]
    assert listed == [
        [name, prop.about, prop.kind, prop.unit, prop.text.replace("`", "")] for name, prop in PROPERTIES.items()
    ]
    words = {word for prop in PROPERTIES.values() for word in prop.words}
    assert words - set(codes(section(PAGE, "## Properties"))) == {"x86_64", "arm64"}


def test_the_page_lists_what_is_unknown_as_the_file_has_it() -> None:
    listed = {codes(platform)[0]: codes(names) for platform, names in rows(section(PAGE, "## What is not known today"))}
    assert listed == {
        platform.id: names
        for platform in FACTS.platforms
        if (names := [name for name in PROPERTIES if _unknown(FACTS.entries.get((platform.id, name), ()))])
    }


def _unknown(several: tuple[Fact, ...]) -> bool:
    return any(not fact.known for fact in several)


def test_the_page_lists_how_sure_a_fact_may_be() -> None:
    listed = {codes(row[0])[0] for row in rows(section(PAGE, "## How sure it is"))}
    assert listed == {fact.confidence for fact in EVERY}


def test_the_example_of_the_page_works_when_it_is_followed_to_the_letter(tmp_path: Path) -> None:
    source, fact = (
        dedent(block) for block in re.findall(r"```yaml\n(.*?)```", section(PAGE, "## Add a fact"), re.DOTALL)
    )
    text = (DATA / "facts.yaml").read_text()
    text = text.replace("sources:\n", source, 1)
    [(platform, name)] = re.findall(r"^  ([\w-]+):\n    facts:\n      (\w+):", fact, re.MULTILINE)
    before, after = text.split(f"\n  {platform}:\n")
    stated = fact.split("    facts:\n")[1].rstrip("\n")
    after, times = re.subn(rf"^      {name}: .*$", stated, after, count=1, flags=re.MULTILINE)
    assert times == 1
    (tmp_path / "facts.yaml").write_text(f"{before}\n  {platform}:\n{after}")
    changed = load_facts(tmp_path / "facts.yaml")
    told = {
        (day, region): changed.get(platform, name, at=day, region=region).value
        for day in (date(2026, 11, 30), date(2026, 12, 1))
        for region in ("us-east-1", "eu-north-1")
    }
    assert told.pop((date(2026, 12, 1), "us-east-1")) is True
    assert set(told.values()) == {None}
