"""The page on notifications is true where a machine can tell."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from holdfast.netpulse.core.lifecycle import JOINED_S
from holdfast.netpulse.core.settings import ChannelSettings, NetpulseSettings
from holdfast.netpulse.core.signature import sign
from holdfast.netpulse.core.validate import CHANNEL_KINDS
from holdfast.netpulse.shell.notify import alertmanager, dispatcher, receiving
from tests.unit.house.pages import codes, rows, section

PAGE = (Path(__file__).parents[4] / "docs" / "netpulse-notifications.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_receiver_of_the_page_takes_what_is_genuine_and_nothing_else() -> None:
    (source,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(source, "docs/netpulse-notifications.md", "exec"), names)  # it is our own page
    genuine, body, now = names["genuine"], b'{"key": "x"}', time.time()
    header = sign("s3cret", body, now=now)
    assert genuine("s3cret", header, body)
    assert genuine("s3cret", f"{header},v1=00", body)
    assert not genuine("other", header, body)
    assert not genuine("s3cret", header, body + b" ")
    assert not genuine("s3cret", sign("s3cret", body, now=now - 400), body)
    assert not genuine("s3cret", "", body)


def test_the_example_of_the_page_is_a_configuration() -> None:
    (source,) = blocks("yaml")
    settings = msgspec.convert(yaml.safe_load(source)["netpulse"], NetpulseSettings, dec_hook=_hook, strict=False)
    named = {name for route in settings.routes for step in route.steps for name in step.channels}
    assert named == set(settings.channels)


def _hook(kind: type, value: Any) -> Any:
    return kind(60.0) if isinstance(value, str) else kind(value)


def test_every_kind_of_channel_has_an_example_that_is_one() -> None:
    table = {codes(cells[0])[0]: codes(cells[1])[0] for cells in rows(section(PAGE, "## Channels"))}
    assert set(table) == set(CHANNEL_KINDS)
    for kind, example in table.items():
        channel = msgspec.convert(yaml.safe_load(example), ChannelSettings, dec_hook=_hook)
        assert getattr(channel, kind) is not None


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("at most one in 5 minutes", JOINED_S == 300),
        ("`timeout` (10 s), `attempts` (12), `backoff_min` (1 s), `backoff_max` (10 min)", True),
        (
            "4 sends of one channel at a time, 32 of all",
            (dispatcher.SENDING_PER_CHANNEL, dispatcher.SENDING) == (4, 32),
        ),
        ("beyond 16 is put back", dispatcher.TAKEN_PER_CHANNEL == 16),
        ("its lease of two minutes", dispatcher.LEASE_S == 120),
        ("sent again every minute", alertmanager.RESEND_S == 60),
        ("four minutes ahead", alertmanager.STANDS_S == 240),
        ("At most 1 MiB, 1000 alerts and 64 labels", receiving.ALERTS_LIMIT == 1000 and receiving.LABELS_LIMIT == 64),
        (f"`{dispatcher.OBSOLETE}the incident was resolved while quiet hours held this back`", True),
    ],
)
def test_figures_on_the_page_are_those_of_the_code(text: str, true: bool) -> None:
    assert text in PAGE
    assert true


def test_defaults_on_the_page_are_those_of_the_settings() -> None:
    channel = ChannelSettings()
    durations = [float(each) for each in (channel.timeout, channel.backoff_min, channel.backoff_max)]
    assert (durations, channel.attempts) == ([10, 1, 600], 12)
    # Waits of half to all of 1, 2, 4 ... 512, 600 s before the eleven attempts after the first.
    ceilings = [min(600.0, 2.0**number) for number in range(11)]
    assert 13 <= sum(ceilings) / 2 / 60 <= 14
    assert 26 <= sum(ceilings) / 60 <= 28
