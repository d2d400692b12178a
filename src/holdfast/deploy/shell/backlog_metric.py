"""``python -m holdfast.deploy.shell.backlog_metric``: the backlog of the execution API as CloudWatch metrics.

It runs as a sidecar of the API: it asks ``GET /v1/scaling`` on loopback and writes one line of embedded metric format
to its standard output, which the log driver brings to CloudWatch. So there is no call to AWS, no permission, and
nothing between it and the API that could fail; and as the API never goes to zero, neither does the metric. (A function
on a timer was rejected: once a minute at best, and inside a VPC without NAT it would reach neither its secret nor
CloudWatch.) An answer that does not come is told on standard error and is a gap in the metric, which alarms.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

METRICS: Final = {
    "BacklogSeconds": ("backlog_s", "Seconds"),
    "OldestSeconds": ("oldest_s", "Seconds"),
    "WantedWorkers": ("wanted_workers", "Count"),
    "Workers": ("workers", "Count"),
}
"""Metric by name: the field of the answer, and its unit."""
DIMENSION: Final = "Queue"
EVERY_S: Final = 10.0
TIMEOUT_S: Final = 5.0
LARGEST_BYTES: Final = 65_536
"""Of an answer."""


def document(answer: Mapping[str, Any], *, namespace: str, queue: str, now_ms: int) -> str:
    """One line of embedded metric format. Raises ``KeyError`` or ``ValueError`` for an answer without the figures."""
    figures = {name: float(answer[field]) for name, (field, _) in METRICS.items()}
    return json.dumps(
        {
            "_aws": {
                "Timestamp": now_ms,
                "CloudWatchMetrics": [
                    {
                        "Namespace": namespace,
                        "Dimensions": [[DIMENSION]],
                        "Metrics": [
                            # 1: kept by the second, so an alarm may look every 10 s and not once a minute.
                            {"Name": name, "Unit": unit, "StorageResolution": 1}
                            for name, (_, unit) in METRICS.items()
                        ],
                    }
                ],
            },
            DIMENSION: queue,
            **figures,
        },
        separators=(",", ":"),
    )


def ask(url: str, key: str) -> Mapping[str, Any]:
    """The answer of the API. Raises ``OSError`` or ``ValueError``."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - loopback, from us
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
        found = json.loads(response.read(LARGEST_BYTES))
    if isinstance(found, dict):
        return found
    raise ValueError("not an object")


def main() -> None:
    """Publish until SIGTERM. Settings come from ``SCALING_URL``, ``SCALING_KEY``, ``NAMESPACE`` and ``QUEUE``."""
    url, key = os.environ["SCALING_URL"], os.environ["SCALING_KEY"]
    namespace, queue = os.environ["NAMESPACE"], os.environ["QUEUE"]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    while not ended.wait(EVERY_S):
        try:
            line = document(ask(url, key), namespace=namespace, queue=queue, now_ms=int(time.time() * 1000))
        except (OSError, ValueError, KeyError, TypeError) as error:
            # The kind, not the text: an error may quote what it was given.
            sys.stderr.write(f"{type(error).__name__}: no answer from {url}\n")
            continue
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
