"""The whole of ``holdfast.yaml``: one section per service, and the supervisor's own."""

from __future__ import annotations

import msgspec

from holdfast.balancer.core.settings import BalancerSettings
from holdfast.blog.core.settings import BlogSettings
from holdfast.console.settings import ConsoleSettings
from holdfast.deploy.core.workload import DeploySettings
from holdfast.execution.core.settings import ExecutionSettings
from holdfast.gateway.core.settings import GatewaySettings
from holdfast.kernel import Duration
from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.store.settings import StoreSettings


class SupervisorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How ``holdfast up`` keeps its services running."""

    restarts: int = 5
    """Restarts of one service within ``window`` that are tolerated; one more ends everything with exit code 1."""
    window: Duration = Duration(60.0)
    """A service that ran this long without a restart has a clean record again."""
    backoff_min: Duration = Duration(0.2)
    """Bound of the first wait before a restart; it doubles with every further one (full jitter)."""
    backoff_max: Duration = Duration(10.0)
    """Longest wait before a restart."""
    start_timeout: Duration = Duration(30.0)
    """A service that has not said it is ready by then counts as failed."""
    grace: Duration = Duration(5.0)
    """Time beyond a service's own drain bound before it is killed."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A validated configuration file."""

    balancer: BalancerSettings | None = None
    gateway: GatewaySettings | None = None
    execution: ExecutionSettings | None = None
    netpulse: NetpulseSettings | None = None
    console: ConsoleSettings | None = None
    blog: BlogSettings | None = None
    store: StoreSettings | None = None
    """Filled in with its defaults when a service needs it."""
    deploy: DeploySettings | None = None
    """For ``holdfast deploy``: where its services go, and whatever else there is to place."""
    supervisor: SupervisorSettings = SupervisorSettings()
