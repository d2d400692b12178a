"""The promise of the demo: kill a backend, and one page arrives that a click acknowledges."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.cli.test_up import DEADLINE_S, fetch, free_base, holdfast, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOTICED_S = 40.0
"""At an interval of 5 s; on two busy cores."""


def wait_until(look: Callable[[], Any], what: str) -> Any:
    """What it finds, once it finds anything."""
    deadline = time.monotonic() + NOTICED_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)  # another process is waited for, over HTTP
    pytest.fail(f"not within {NOTICED_S:g} s: {what}")


def test_a_backend_that_is_killed_is_one_incident_and_one_page_that_a_click_acknowledges(tmp_path: Path) -> None:
    base = free_base()
    with holdfast(tmp_path, "up", "--port-base", str(base)) as process:
        started: dict[str, int] = {}
        while "backend a" not in started or "netpulse" not in started or "pager" not in started:
            record = wait_for(process.stderr, action="service_up")
            started[record["service"]] = record["child_pid"]
        key = wait_for(process.stderr, action="demo_up")["key"]
        pulse, pager = f"http://127.0.0.1:{base}/pulse", f"http://127.0.0.1:{base + 8}"

        def asked(path: str) -> Any:
            request = urllib.request.Request(pulse + path, headers={"Authorization": f"Bearer {key}"})
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                return json.load(answer)

        def pages() -> list[Any]:
            """Of the backend, newest first."""
            messages = json.loads(fetch(f"{pager}/messages"))
            return [each for each in messages if "Backend a" in each["title"]]

        wait_until(lambda: len(asked("/v1/monitors/backend-a")["last"]) == 3, "all regions have seen backend a")
        os.kill(started["backend a"], signal.SIGKILL)
        (page,) = wait_until(pages, "a page about backend a")
        assert (page["event"], page["times"]) == ("opened", 1)
        found = asked("/v1/incidents?monitor=backend-a")["incidents"]
        assert [each["state"] for each in found] == ["open"]

        link = page["acknowledge_url"]
        assert link.startswith(f"{pulse}/ack/")
        assert "I have it" in fetch(link)
        assert asked(f"/v1/incidents/{found[0]['id']}")["state"] == "open"  # looking is no acknowledging
        with urllib.request.urlopen(urllib.request.Request(link, b""), timeout=DEADLINE_S) as answer:
            assert b"It is yours" in answer.read()
        incident = asked(f"/v1/incidents/{found[0]['id']}")
        assert (incident["state"], incident["acknowledged_by"]) == ("acknowledged", "link:pager")
        wait_until(lambda: len(pages()) == 2, "the message that somebody has it")
        assert [each["event"] for each in pages()] == ["acknowledged", "opened"]
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
