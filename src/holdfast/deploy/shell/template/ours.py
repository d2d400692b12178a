"""Holdfast's own services as the templates see them: what each runs, where it listens, whom it calls.

The same image runs them all, with ``/etc/holdfast/holdfast.yaml`` in it; only the command differs. Addresses in that
file have to be ``0.0.0.0`` with the ports below, which are the defaults, and values that are secret or known only after
the deployment come from the environment (``${DATABASE_URL}``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CONFIG: Final = "/etc/holdfast/holdfast.yaml"
STATE: Final = "/var/lib/holdfast"
"""Where a service keeps what may go with its task: journals, spools."""
WORKER_KEY: Final = "HOLDFAST_WORKER_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """One of our services."""

    port: int | None = None
    """Of its API; ``None``: nobody connects to it."""
    health_port: int | None = None
    """Where it answers ``/healthz`` and ``/readyz``, if that is another port: the balancer's admin plane."""
    store: bool = False
    """It keeps records in PostgreSQL."""
    made: tuple[str, ...] = ()
    """Secrets that are made up for it: any long text will do."""
    given: tuple[str, ...] = ()
    """Secrets that have a form, so that AWS cannot make them up: our API keys end in a check sum."""
    calls: tuple[str, ...] = ()
    """Services that it opens connections to."""
    agents_port: int | None = None
    """Where agents of other regions come in, by mutual TLS that no load balancer may end."""

    @property
    def asked(self) -> int | None:
        """Port that health checks ask."""
        return self.health_port or self.port


SERVICES: Final = {
    "balancer": Own(
        port=8080,
        health_port=8081,
        made=("HOLDFAST_ADMIN_TOKEN",),
        calls=("gateway", "execution-api", "netpulse", "console", "status"),
    ),
    "gateway": Own(port=8082, store=True),
    "execution-api": Own(port=8083, store=True, given=(WORKER_KEY,)),
    "execution-worker": Own(given=(WORKER_KEY,), calls=("execution-api",)),
    "netpulse": Own(port=8084, store=True, agents_port=8094),
    "console": Own(port=8085, store=True, calls=("gateway", "execution-api", "netpulse")),
    "status": Own(port=8087),
    "agent": Own(calls=("netpulse",)),
}
"""By the name that ``holdfast run`` takes. Ports are the defaults of their sections; ``status`` serves files."""
