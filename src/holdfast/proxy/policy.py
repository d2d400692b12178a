"""What the data plane needs to know, as plain values. Whoever wires it translates its settings.

Durations are seconds, sizes bytes. Bounds are per process.
"""

from __future__ import annotations

import dataclasses
import ipaddress

from holdfast.http1 import Limits

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """How requests of one pool are tried."""

    attempts: int = 3
    timeout_s: float = 10.0
    """From the end of the request to the first byte of the answer, over all attempts and waiting."""
    per_try_timeout_s: float = 2.0
    """The same for one attempt; also the longest that a backend may take no byte of a body."""
    connect_timeout_s: float = 1.0
    stall_timeout_s: float = 60.0
    """Longest silence of a backend in the middle of an answer."""
    retry_statuses: frozenset[int] = frozenset((502, 503, 504))
    replay_bytes: int = 64 * 1024
    budget_percent: float = 20.0
    budget_floor_per_s: float = 10.0
    idle_connections: int = 64
    idle_timeout_s: float = 30.0
    host_from_backend: bool = False
    max_in_flight: int = 4096
    max_in_flight_per_backend: int = 1024
    queue: int = 1024
    queue_timeout_s: float = 1.0
    adaptive: bool = False
    hash_on: str = "client"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EdgePolicy:
    """What clients may do, and how long they may take."""

    limits: Limits = dataclasses.field(default_factory=Limits)
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    write_timeout_s: float = 30.0
    idle_timeout_s: float = 60.0
    tunnel_timeout_s: float = 3600.0
    pipelined: int = 16
    connections: int = 8192
    trusted_proxies: tuple[Network, ...] = ()
    log_sample: float | None = 1.0
    """Share of uneventful requests in the access log; ``None`` switches it off."""

    def trusts(self, address: str) -> bool:
        """Whether the forwarding headers of the peer at ``address`` are believed."""
        if not self.trusted_proxies:
            return False
        try:
            peer = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(peer in network for network in self.trusted_proxies)
