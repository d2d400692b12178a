"""Holdfast's balancer as a contender: with its defaults, or with something switched off as the control."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from holdfast.drills.contender import POLL_S, POOL, Contender, fetch
from holdfast.drills.errors import DrillError, ProcessFailedError
from holdfast.drills.process import free_port


class Holdfast(Contender):
    """The balancer, as ``holdfast run balancer`` starts it."""

    def __init__(
        self,
        *,
        backends: Mapping[str, int],
        workers: int,
        directory: Path,
        name: str = "holdfast",
        pool: Mapping[str, object] | None = None,
        section: Mapping[str, object] | None = None,
    ) -> None:
        """``pool`` and ``section`` are what differs from the defaults in the pool and in ``balancer:``."""
        super().__init__(backends=backends, workers=workers, directory=directory)
        self.name = name
        self.admin_port = free_port()
        self._pool = dict(pool or {})
        self._section = dict(section or {})

    @property
    def config(self) -> Path:
        """The file that it runs on."""
        return self.directory / f"{self.name}.yaml"

    def write_config(
        self, backends: Mapping[str, int], routes: Sequence[Mapping[str, str]] = ({"pool": POOL},)
    ) -> None:
        """Write the file (JSON is YAML), by rename so that a reload never sees half of it."""
        document = {
            "balancer": {
                "listen": [f"127.0.0.1:{self.port}"],
                "admin": f"127.0.0.1:{self.admin_port}",
                "workers": self.workers,
                "access_log": {"enabled": False},
                "pools": {
                    POOL: {
                        "backends": [
                            {"id": name, "url": f"http://127.0.0.1:{port}"} for name, port in backends.items()
                        ],
                        **self._pool,
                    }
                },
                "routes": list(routes),
                **self._section,
            }
        }
        draft = self.config.with_suffix(".new")
        draft.write_text(json.dumps(document, indent=2))
        draft.rename(self.config)

    def prepare(self) -> list[str]:
        """Everything but the backends is left to the defaults."""
        self.write_config(self.backends)
        return [sys.executable, "-m", "holdfast", "run", "balancer", "-c", str(self.config)]

    def _wait_until_serving(self, timeout_s: float = 15.0) -> None:
        super()._wait_until_serving(timeout_s)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            _, body = fetch(self.admin_port, "GET", "/readyz")
            workers = json.loads(body).get("workers", {})
            if len(workers) == self.workers and set(workers.values()) == {"serving"}:
                return
            time.sleep(POLL_S)
        raise ProcessFailedError(f"the workers of {self.name} did not all serve within {timeout_s:g} s: {body!r}")

    def flips(self) -> int:
        """Ejections, as its metrics count them."""
        status, body = fetch(self.admin_port, "GET", "/metrics")
        if status != 200:
            raise DrillError(f"GET /metrics of the balancer answered {status}")
        return int(sum_metric(body.decode(), "holdfast_ejections_total"))

    def admin(self, method: str, path: str, body: object = None) -> None:
        """One request to the admin plane. Raises :class:`DrillError` on any status but 2xx."""
        status, answer = fetch(self.admin_port, method, path, body)
        if not 200 <= status < 300:
            raise DrillError(f"{method} {path} of the admin plane answered {status}: {answer[:200]!r}")


def sum_metric(exposition: str, name: str) -> float:
    """Sum of all samples of one counter in Prometheus text; 0 while it has none.

    Raises :class:`DrillError` if the text does not even declare it.
    """
    lines = exposition.splitlines()
    if f"# TYPE {name} counter" not in lines:
        raise DrillError(f"the metrics of the balancer have no counter {name}")
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))
