"""When the files are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.netpulse.core.status import status_view
from holdfast.netpulse.shell.status import StatusPublisher, publisher
from tests.unit.netpulse.status.views import NOW, incident, source


async def test_the_page_is_written_when_something_happened_and_at_least_every_minute(tmp_path: Path) -> None:
    clock = [0.0]
    publishing = StatusPublisher(tmp_path, clock=lambda: clock[0])
    view = status_view(source(), now=NOW)
    assert await publishing.publish(view)
    assert not await publishing.publish(status_view(source(), now=NOW + 1))
    assert await publishing.publish(status_view(source(incidents=[incident()]), now=NOW + 2))
    assert "Shop is not reachable" in (tmp_path / "index.html").read_text()
    clock[0] += publisher.EVERY_S
    assert await publishing.publish(status_view(source(incidents=[incident()]), now=NOW + 62))
    assert "2026-01-31T12:01:02Z" in (tmp_path / "index.html").read_text()


async def test_a_disk_that_takes_nothing_is_said_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "page").write_text("a file where the directory should be")
    publishing = StatusPublisher(tmp_path / "page", clock=lambda: 0.0)
    view = status_view(source(), now=NOW)
    assert not await publishing.publish(view)
    assert "cannot be written" in caplog.text
    (tmp_path / "page").unlink()
    assert await publishing.publish(replace(view, title="Again"))
