"""Secrets of a monitor go in, and never come out."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.settings import HeartbeatCheck, HttpCheck, MonitorSettings, WebSocketCheck
from holdfast.netpulse.shell.api.bodies import decode, decoder, encode
from holdfast.netpulse.shell.api.masking import masked, unmasked

SECRET = "s3cret-s3cret-s3cret"
SPECS = {
    "password": MonitorSettings(http=HttpCheck(url="https://x.example.com/", username="me", password=SECRET)),
    "bearer": MonitorSettings(http=HttpCheck(url="https://x.example.com/", bearer_token=SECRET)),
    "header": MonitorSettings(
        http=HttpCheck(url="https://x.example.com/", headers={"X-Api-Key": SECRET, "Accept": "text/html"})
    ),
    "cookie": MonitorSettings(http=HttpCheck(url="https://x.example.com/", headers={"Cookie": f"id={SECRET}"})),
    "url": MonitorSettings(http=HttpCheck(url=f"https://me:{SECRET}@x.example.com/")),
    "token in the url": MonitorSettings(http=HttpCheck(url=f"https://{SECRET}@x.example.com/")),
    "websocket": MonitorSettings(websocket=WebSocketCheck(url=f"wss://me:{SECRET}@x.example.com/")),
    "heartbeat": MonitorSettings(heartbeat=HeartbeatCheck(period=Duration(60.0), token=SECRET)),
}
SPEC = decoder(MonitorSettings)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_what_is_shown_has_no_secret_and_sent_back_means_the_same(spec: MonitorSettings) -> None:
    shown = encode(masked(spec))
    assert SECRET.encode() not in shown
    assert unmasked(decode(SPEC, shown), spec) == (spec, [])


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_mask_stands_for_nothing_in_a_new_monitor(spec: MonitorSettings) -> None:
    _, problems = unmasked(decode(SPEC, encode(masked(spec))), None)
    assert [each.value for each in problems] == [None]


def test_a_mask_for_a_secret_that_there_never_was_is_refused() -> None:
    old = MonitorSettings(http=HttpCheck(url="https://x.example.com/"))
    new = msgspec.structs.replace(old, http=HttpCheck(url="https://x.example.com/", bearer_token="***"))
    _, problems = unmasked(new, old)
    assert [each.path for each in problems] == [("http", "bearer_token")]


def test_a_heartbeat_without_a_token_keeps_the_one_that_it_has() -> None:
    old = SPECS["heartbeat"]
    new = MonitorSettings(heartbeat=HeartbeatCheck(period=Duration(120.0)))
    kept, problems = unmasked(new, old)
    assert problems == []
    assert kept.heartbeat is not None
    assert (kept.heartbeat.token, kept.heartbeat.period) == (SECRET, 120.0)


@pytest.mark.parametrize(
    ("url", "verify"), [("wss://me:***@evil.example.com/", True), ("wss://me:***@x.example.com/", False)]
)
def test_the_password_of_a_websocket_goes_nowhere_else(url: str, *, verify: bool) -> None:
    new = MonitorSettings(websocket=WebSocketCheck(url=url, verify=verify))
    _, problems = unmasked(new, SPECS["websocket"])
    assert [each.path for each in problems] == [("websocket", "url")]
