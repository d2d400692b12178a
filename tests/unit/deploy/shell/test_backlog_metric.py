"""The sidecar that brings the backlog to CloudWatch: one line per answer, nothing for none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from holdfast.deploy.shell.backlog_metric import METRICS, ask, document

ANSWER = {"wanted_workers": 2, "workers": 1, "backlog_s": 12.5, "oldest_s": 3.0, "why": "up"}


@contextmanager
def api(status: int, body: bytes) -> Iterator[tuple[str, list[str | None]]]:
    """A server on loopback that answers everything alike; its URL, and the keys that it was shown."""
    shown: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/scaling", shown
        finally:
            server.shutdown()
            thread.join()


def test_a_line_is_embedded_metric_format_that_names_every_figure_it_carries() -> None:
    line = document(ANSWER, namespace="holdfast", queue="execution-api", now_ms=1_700_000_000_000)
    found = json.loads(line)
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "holdfast"
    assert directive["Dimensions"] == [["Queue"]]
    assert {metric["Name"] for metric in directive["Metrics"]} == set(METRICS)
    assert found.items() >= {"Queue": "execution-api", "BacklogSeconds": 12.5, "WantedWorkers": 2.0}.items()
    assert "\n" not in line


def test_an_answer_without_its_figures_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(KeyError):
        document({"backlog_s": 1.0}, namespace="n", queue="q", now_ms=0)


def test_the_api_is_asked_with_the_key() -> None:
    with api(200, json.dumps(ANSWER).encode()) as (url, shown):
        assert ask(url, "hf_key") == ANSWER
    assert shown == ["Bearer hf_key"]


@pytest.mark.parametrize(("status", "body"), [(503, b"{}"), (200, b"<html>"), (200, b"[]")])
def test_what_is_no_answer_is_an_error(status: int, body: bytes) -> None:
    with api(status, body) as (url, _), pytest.raises((OSError, ValueError)) as caught:
        ask(url, "hf_key")
    close = getattr(caught.value, "close", None)
    if close is not None:
        close()


def test_it_ends_at_sigterm_without_a_trace() -> None:
    environment = {**os.environ, "SCALING_URL": "http://127.0.0.1:9/", "SCALING_KEY": "hf_key"}
    environment |= {"NAMESPACE": "holdfast", "QUEUE": "q"}
    script = (
        "import holdfast.deploy.shell.backlog_metric as m, sys\n"
        "wait = m.threading.Event.wait\n"
        "m.threading.Event.wait = lambda self, s: (sys.stdout.write('up\\n'), sys.stdout.flush(), wait(self, s))[-1]\n"
        "m.main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
