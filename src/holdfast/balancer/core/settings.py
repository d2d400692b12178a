"""The ``balancer:`` section of ``holdfast.yaml``.

One frozen struct per section, defaults on the field, so that the smallest working
section is a pool with a list of backends. Unknown keys are refused by the decoder;
what a decoder cannot see (references, ranges, combinations) is in :mod:`.validate`.

Units: :class:`~holdfast.kernel.Duration` is seconds, :class:`~holdfast.kernel.Size` bytes.
"""

from __future__ import annotations

from typing import Literal

from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Section

StrategyName = Literal["round_robin", "weighted", "least_connections", "p2c", "consistent_hash"]


class BackendSettings(Section, frozen=True):
    """One server that answers requests."""

    id: str
    url: str
    """``http://HOST:PORT`` or ``https://HOST:PORT``."""
    weight: float = 1.0
    """Share of traffic relative to its siblings. 0 keeps it configured but unused."""


class DiscoverySettings(Section, frozen=True):
    """Backends found by name instead of listed; ids become ``NAME-ADDRESS-PORT``."""

    dns: str
    """``HOST:PORT``; every address that the name resolves to becomes a backend."""
    scheme: Literal["http", "https"] = "http"
    min_interval: Duration = Duration(1.0)
    """Resolve no more often than this, whatever the TTL of the record says."""
    max_interval: Duration = Duration(60.0)
    """Resolve at least this often; also used when the resolver tells no TTL."""


class HealthSettings(Section, frozen=True):
    """Active health checks, run once per backend by the master."""

    enabled: bool = True
    path: str = "/health"
    host: str | None = None
    """``Host`` of the check; the backend's own address when absent."""
    interval: Duration = Duration(1.0)
    timeout: Duration = Duration(0.5)
    rise: int = 2
    """Score of passed checks in a row that brings a backend in."""
    fall: int = 3
    """Score of failed checks in a row that takes it out."""
    expect: tuple[int, ...] = (200, 299)
    """Lowest and highest status that passes (two numbers)."""


class RetrySettings(Section, frozen=True):
    """When a failed attempt may be made again, and how many such attempts a pool can afford."""

    attempts: int = 3
    """Attempts per request in all, the first included. 1 switches retries off."""
    budget_percent: float = 20.0
    """Retries as a share of requests over the last ten seconds."""
    budget_floor_per_s: float = 10.0
    """Retries per second that a pool may always make, over all workers."""
    per_try_timeout: Duration = Duration(2.0)
    statuses: tuple[int, ...] = (502, 503, 504)
    """Answers that count as a failed attempt and may be retried. Any other 5xx counts as well, but is passed on."""
    buffer: Size = Size(64 * 1024)
    """Request body kept for a replay; a longer body makes the request unrepeatable."""


class OutlierSettings(Section, frozen=True):
    """What traffic itself says about a backend."""

    enabled: bool = True
    consecutive: int = 5
    """Failures in a row that take a backend out, if the failures before do not explain them."""
    sustained: Duration = Duration(1.0)
    """Least time from the first to the last of them; shorter failures are left to selection."""
    success_ratio: float = 0.5
    """A full window below this share of successes takes the backend out."""
    bucket: Duration = Duration(1.0)
    buckets: int = 10
    minimum_volume: int = 20


class BreakerSettings(Section, frozen=True):
    """How long a backend that failed traffic stays out, and how it comes back."""

    enabled: bool = True
    open_min: Duration = Duration(5.0)
    open_max: Duration = Duration(300.0)
    trials: int = 3
    """Live requests admitted at once while half-open, over all workers."""
    trial_successes: int = 3
    """Successful trials that close the breaker."""
    ramp: Duration = Duration(10.0)
    """Time from closing to full weight. 0 switches the ramp off."""
    ramp_shape: Literal["linear", "exponential"] = "linear"


class DampingSettings(Section, frozen=True):
    """Flap damping after RFC 2439, scaled to seconds."""

    enabled: bool = True
    penalty: float = 1000.0
    half_life: Duration = Duration(60.0)
    suppress: float = 3000.0
    reuse: float = 750.0
    max_suppress: Duration = Duration(300.0)


class AdmissionSettings(Section, frozen=True):
    """How much may be in flight or waiting, over all workers."""

    max_in_flight: int = 4096
    """Requests in flight in the pool."""
    max_in_flight_per_backend: int = 1024
    queue: int = 1024
    """Requests that may wait for a free place."""
    queue_timeout: Duration = Duration(1.0)
    """Longest wait; after it the answer is 503 with ``Retry-After``."""
    adaptive: bool = False
    """Let the gradient of latency lower and raise the limit of each backend."""
    panic_threshold: float = 0.5
    """Below this share of the pool's weight, backends that are out on suspicion get traffic again,
    and the pool admits only what they can carry."""


class UpstreamTlsSettings(Section, frozen=True):
    """TLS towards backends. Verification is on unless switched off by name."""

    verify: bool = True
    ca: str | None = None
    server_name: str | None = None
    cert: str | None = None
    key: str | None = None


class PoolSettings(Section, frozen=True):
    """A group of interchangeable backends and the policies that apply to it."""

    backends: tuple[BackendSettings, ...] = ()
    discovery: DiscoverySettings | None = None
    strategy: StrategyName = "p2c"
    hash_on: str = "client"
    """Key of ``consistent_hash``: ``client``, ``path``, ``header:NAME`` or ``cookie:NAME``."""
    timeout: Duration = Duration(10.0)
    """From the end of the request to the first byte of the answer, over all attempts."""
    connect_timeout: Duration = Duration(1.0)
    stall_timeout: Duration = Duration(60.0)
    """Longest silence of a backend in the middle of an answer."""
    idle_connections: int = 64
    """Keep-alive connections kept per backend and worker."""
    idle_timeout: Duration = Duration(30.0)
    host_header: Literal["client", "backend"] = "client"
    health: HealthSettings = HealthSettings()
    retry: RetrySettings = RetrySettings()
    outlier: OutlierSettings = OutlierSettings()
    breaker: BreakerSettings = BreakerSettings()
    damping: DampingSettings = DampingSettings()
    admission: AdmissionSettings = AdmissionSettings()
    tls: UpstreamTlsSettings = UpstreamTlsSettings()


class RouteSettings(Section, frozen=True):
    """Sends a host and a path prefix to a pool. The most specific route wins, not the first."""

    pool: str
    host: str = "*"
    """Exact name, ``*.suffix``, or ``*``."""
    path: str = "/"
    """Prefix, matched at segment borders."""
    strip_prefix: bool = False


class CertificateSettings(Section, frozen=True):
    """A certificate chain and its key; the names in the certificate select it by SNI."""

    cert: str
    key: str


class LimitsSettings(Section, frozen=True):
    """Bounds of what a client may send."""

    request_line: Size = Size(8 * 1024)
    header_block: Size = Size(32 * 1024)
    headers: int = 100
    body: Size | None = None
    """Longest request body; absent means unlimited, which streaming makes safe."""
    pipelined: int = 16
    """Requests that one client may send ahead of its answers."""
    connections: int = 8192
    """Client connections per worker; one more is refused."""


class TimeoutSettings(Section, frozen=True):
    """How long a client may take for each phase."""

    header: Duration = Duration(10.0)
    body: Duration = Duration(30.0)
    """Between two reads of a request body."""
    write: Duration = Duration(30.0)
    """Without progress while the client reads an answer."""
    idle: Duration = Duration(60.0)
    tunnel: Duration = Duration(3600.0)
    """Silence in both directions of an upgraded connection."""


class AccessLogSettings(Section, frozen=True):
    """One JSON line per request."""

    enabled: bool = True
    sample: float = 1.0
    """Share of successful requests logged; failed and retried ones always are."""
    path: str = "-"
    """File to append to; ``-`` is standard output."""


class BalancerSettings(Section, frozen=True):
    """The load balancer."""

    pools: dict[str, PoolSettings]
    routes: tuple[RouteSettings, ...] = ()
    """With a single pool and no route, everything goes to that pool."""
    listen: tuple[str, ...] = ("127.0.0.1:8080",)
    """``HOST:PORT``, ``[v6]:PORT``, or ``https://HOST:PORT`` for TLS."""
    admin: str | None = "127.0.0.1:8081"
    admin_token: str | None = None
    """Bearer token of the admin plane; required when it does not listen on loopback."""
    workers: int = 2
    certificates: tuple[CertificateSettings, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose ``X-Forwarded-*`` and ``Forwarded`` are believed."""
    limits: LimitsSettings = LimitsSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    access_log: AccessLogSettings = AccessLogSettings()
    drain_timeout: Duration = Duration(30.0)
