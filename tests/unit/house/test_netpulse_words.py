"""What the pages on NetPulse tell, and what they show as examples, is what the code does."""

from __future__ import annotations

import re
from typing import Any

import pytest

from holdfast.app.config import load
from holdfast.kernel import Duration
from holdfast.netpulse.core import conditions, detector, region
from holdfast.netpulse.core import filter as paths
from holdfast.netpulse.core.calibration import expected_delay_s, policy_for
from holdfast.netpulse.core.detector import Detector
from holdfast.netpulse.core.incident import State
from holdfast.netpulse.core.objectives import BURN_RULES
from holdfast.netpulse.core.result import Failure, Observation, Outcome
from holdfast.netpulse.core.settings import HttpCheck, MonitorSettings, RetentionSettings
from holdfast.netpulse.core.validate import KINDS
from tests.unit.house.pages import ROOT, codes, rows, section, texts

NETPULSE = (ROOT / "docs" / "netpulse.md").read_text()
DETECTOR = (ROOT / "docs" / "netpulse-detector.md").read_text()
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()
PICTURE = (ROOT / "docs" / "images" / "evidence.svg").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", NETPULSE + DETECTOR, re.DOTALL)
WITNESSES = {"Frankfurt": "a", "Oregon": "b", "Tokyo": "c"}


def policy(regions: dict[str, str], *, interval_s: float = 30.0, rate: float = 1.0) -> Any:
    spec = MonitorSettings(http=HttpCheck(url="https://example.com/"), interval=Duration(interval_s))
    return policy_for(spec, default_rate=rate, domains=regions)


# ---------------------------------------------------------------- the detector


def retold(story: list[list[str]]) -> list[list[str]]:
    """A table of who called when and met what, with the figures as the detector has them."""
    judge = Detector("shop", policy(WITNESSES), WITNESSES)

    def seen(who: str, at: float, *, failed: bool) -> Observation:
        return Observation(
            monitor="shop",
            region=who,
            domain=WITNESSES[who],
            agent=who,
            at=at,
            received=at + 0.1,
            outcome=Outcome.DOWN if failed else Outcome.UP,
            failure=Failure.TIMEOUT if failed else Failure.NONE,
            total_ms=100.0,
        )

    for turn in range(20):
        for number, who in enumerate(WITNESSES):
            judge.observe(seen(who, turn * 30.0 + number * 10.0, failed=False))
    told = []
    for after, who, what, *_ in story:
        signals = judge.observe(seen(who, 600.0 + float(after.removesuffix(" s")), failed=what == "no answer"))
        ledger: Any = signals[0].evidence if signals else judge.evidence()
        worth = {one["region"]: one["llr"] for one in ledger["regions"]}[who]
        sums = [f"{one['sum']:.1f}" for one in ledger["domains"]]
        told.append([after, who, what, f"{worth:+.1f}", *sums, f"{ledger['total']:.1f}"])
    assert bool(signals) is (float(told[-1][-1]) >= judge.evidence()["threshold"])  # type: ignore[operator]
    return told


STORY = [row for row in rows(section(DETECTOR, "## For those without statistics")) if len(row) == 8]


def test_the_worked_example_comes_out_as_it_is_told() -> None:
    calm, alarm = STORY[:-3], STORY[-3:]
    assert len(calm) == 7
    assert retold(calm) == calm
    assert retold(alarm) == alarm


def test_the_picture_shows_the_worked_example() -> None:
    told = policy(WITNESSES)
    text = section(DETECTOR, "## For those without statistics")
    for figure in (f"{told.threshold:.1f}", f"{told.cap:.1f}"):
        assert f"**{figure}**" in text
        assert f"says: {figure}<" in PICTURE or f"alarm: {figure}<" in PICTURE
    sums = re.findall(r'class="sum"[^>]*>([\d.]+)<', PICTURE)
    # Less than nothing is drawn as nothing.
    calm = [max(float(STORY[line][7]), 0.0) for line in (0, 1, 2, 5, 6)]
    assert [float(one) for one in sums] == [*calm, *(float(row[7]) for row in STORY[-3:])]


def test_constants_are_those_of_the_code() -> None:
    text = section(DETECTOR, "## For those with statistics")
    table = {codes(row[0])[0]: float(row[1]) for row in rows(text) if codes(row[0])}
    assert len(table) == 7
    assert table == {name: getattr(paths, name) for name in table}
    assert f"−{region.DISSENT:g} nats (`DISSENT`)" in text
    assert f"After {detector.DISSENT_S:g} s (`DISSENT_S`)" in text
    assert f"without a failure for {detector.DISSENT_S:g} s" in text
    assert f"{detector.CONFIRM_SPACING_S:g} s apart (`CONFIRM_SPACING_S`)" in text
    assert f"at most {detector.CONFIRM_ROUNDS} in a suspicion" in text
    assert f"worth {detector.CONFIRM_WORTH:g} nats" in text
    assert f"{detector.RECOVERY_THRESHOLD:g} nats (`RECOVERY_THRESHOLD`)" in text
    assert f"{conditions.PARTIAL_FAILS * 100:g} % failures" in text
    assert f"from {conditions.SLOW_USUAL * 100:g} % (`SLOW_USUAL`) to {conditions.SLOW_EXCEEDS * 100:g} %" in text
    assert f"{conditions.CALM:g} nats (`CALM`)" in text
    assert f"takes {conditions.SETBACK:g} (`SETBACK`)" in text
    assert f"once {conditions.Latency.LEARNED} answers are known" in text
    assert f"{paths.PRIOR_PROBES:,.0f} probes (`PRIOR_PROBES`)" in text
    assert f"{paths.MEMORY_PROBES:,.0f} probes (`MEMORY_PROBES`)" in text


def test_thresholds_are_those_of_the_calibration() -> None:
    table = [row for row in rows(section(DETECTOR, "## For those with statistics")) if not codes(row[0])]
    assert len(table) == 3
    for rate, several, one in table:
        told = policy({"eu": "a", "us": "b"}, rate=float(rate))
        assert (f"{told.threshold:.1f}", f"{told.lone_threshold:.1f}") == (several, one)


@pytest.mark.parametrize(
    ("column", "regions"),
    [
        (1, {"eu": "a", "us": "b", "ap": "c"}),
        (2, {"eu": "a", "eu2": "a", "us": "b", "us2": "b", "ap": "c"}),
        (3, {"eu": "a", "us": "b"}),
        (4, {"eu": "a"}),
    ],
)
def test_outages_are_noticed_as_soon_as_is_said(column: int, regions: dict[str, str]) -> None:
    for row in rows(section(DETECTOR, "## What to expect")):
        interval_s = float(row[0].removesuffix(" s"))
        told = expected_delay_s(
            policy(regions, interval_s=interval_s), timeout_s=10.0, domains=regions, confirmations=True
        )
        assert f"{told:.0f} s" == row[column]


# ---------------------------------------------------------------- NetPulse


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_a_configuration_is_sound(example: str, tmp_path: Any) -> None:
    file = tmp_path / "holdfast.yaml"
    file.write_text(example)
    load(file, environ={}, ports=False)


def checks() -> list[str]:
    return [codes(row[1])[0] for row in rows(section(NETPULSE, "## Monitors"))]


@pytest.mark.parametrize("check", checks())
def test_the_minimal_example_of_a_check_is_sound(check: str, tmp_path: Any) -> None:
    file = tmp_path / "holdfast.yaml"
    file.write_text(f"netpulse:\n  regions: {{eu: {{}}}}\n  monitors:\n    it: {{{check}}}\n")
    load(file, environ={"BACKUP_TOKEN": "t" * 24}, ports=False)


def test_every_kind_of_check_has_an_example() -> None:
    assert [check.partition(":")[0] for check in checks()] == list(KINDS)


def test_every_state_of_an_incident_is_described() -> None:
    states = [codes(row[0])[0] for row in rows(section(NETPULSE, "## Incidents")) if codes(row[0])]
    assert states == [state.value for state in State]


def test_burn_rates_are_those_of_the_code() -> None:
    def window(seconds: float) -> str:
        days, hours = seconds / 86_400, seconds / 3_600
        return f"{days:g} d" if days >= 1 else f"{hours:g} h" if hours >= 1 else f"{seconds / 60:g} min"

    described = [(row[0], row[1]) for row in rows(section(NETPULSE, "## Objectives"))]
    assert described == [(f"{rule.rate:g}", f"{window(rule.long_s)} and {window(rule.short_s)}") for rule in BURN_RULES]


def test_things_are_kept_for_as_long_as_is_described() -> None:
    kept = RetentionSettings()
    described: dict[str, float] = {}
    for row in rows(section(NETPULSE, "## What is kept")):
        names = [name.removeprefix("retention.") for name in codes(row[1])]
        days = [float(text.replace(",", "")) * 86_400 for text in re.findall(r"([\d,]+) d", row[2])]
        described |= dict(zip(names, days, strict=True))
    assert described == {name: float(getattr(kept, name)) for name in kept.__struct_fields__}


MISTAKES = rows(section(NETPULSE, "## Mistakes of an earlier design"))
SHOWN = [found for row in MISTAKES for found in re.findall(r"\(\.\./(tests/[^)]+)\) `(test_\w+)`", row[2])]


@pytest.mark.parametrize(("path", "test"), SHOWN, ids=[test for _, test in SHOWN])
def test_a_mistake_that_is_called_mended_has_its_test(path: str, test: str) -> None:
    assert re.search(rf"^(?:async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_every_mistake_names_a_test() -> None:
    assert len(MISTAKES) == 7
    assert all("`test_" in row[2] for row in MISTAKES)


@pytest.mark.parametrize(
    ("message", "module"),
    [
        ("the engine refuses this agent; it watches nothing until it is let in", "netpulse/shell/agent/agent.py"),
        ("has no certificate of", "netpulse/shell/agent/serve.py"),
        ("is running; make one for another with", "netpulse/shell/agent/serve.py"),
        ("the spool cannot be written; results are lost", "netpulse/shell/agent/spool.py"),
        ("agent_saturated", "netpulse/shell/agent/watch.py"),
        ("the store is not available", "netpulse/shell/agents/listener.py"),
        ("another engine has taken over", "netpulse/shell/agents/listener.py"),
        ("decisions wait for the store", "netpulse/shell/engine/scribe.py"),
        ("notice_given_up", "netpulse/shell/notify/dispatcher.py"),
        ("certificate_expires", "netpulse/shell/agent/link.py"),
        ("only one failure domain can be believed now, so it decides alone", "netpulse/core/story.py"),
        ("No message was sent", "netpulse/core/story.py"),
    ],
)
def test_a_message_in_troubleshooting_is_the_one_that_the_code_prints(message: str, module: str) -> None:
    assert message in section(TROUBLESHOOTING, "## NetPulse")
    assert message in texts(module)
