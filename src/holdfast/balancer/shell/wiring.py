"""From settings to what the data plane runs on, for one of several workers.

Bounds in the settings hold for the whole balancer; a worker gets its share, rounded up, since
connections are spread over workers by the kernel and nobody counts them together.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from holdfast.http1 import Limits
from holdfast.proxy import Address, Backend, EdgePolicy, Pool, PoolPolicy, client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping
    from random import Random

    from holdfast.balancer.core.messages import Endpoint
    from holdfast.balancer.core.settings import (
        BalancerSettings,
        PoolSettings,
        StrategyName,
        UpstreamTlsSettings,
    )


_GONE_KEPT: Final = 256


def edge_policy(settings: BalancerSettings) -> EdgePolicy:
    """What clients may do."""
    limits, timeouts = settings.limits, settings.timeouts
    return EdgePolicy(
        limits=Limits(
            request_line=limits.request_line,
            header_block=limits.header_block,
            headers=limits.headers,
            body=limits.body,
        ),
        header_timeout_s=timeouts.header,
        body_timeout_s=timeouts.body,
        write_timeout_s=timeouts.write,
        idle_timeout_s=timeouts.idle,
        tunnel_timeout_s=timeouts.tunnel,
        pipelined=limits.pipelined,
        connections=limits.connections,
        trusted_proxies=tuple(ipaddress.ip_network(network) for network in settings.trusted_proxies),
        log_sample=settings.access_log.sample if settings.access_log.enabled else None,
    )


def pool_policy(settings: PoolSettings, workers: int) -> PoolPolicy:
    """How requests of a pool are tried, in one of ``workers`` processes."""
    retry, admission = settings.retry, settings.admission
    return PoolPolicy(
        attempts=retry.attempts,
        timeout_s=settings.timeout,
        per_try_timeout_s=retry.per_try_timeout,
        connect_timeout_s=settings.connect_timeout,
        stall_timeout_s=settings.stall_timeout,
        retry_statuses=frozenset(retry.statuses),
        replay_bytes=retry.buffer,
        budget_percent=retry.budget_percent,
        budget_floor_per_s=retry.budget_floor_per_s / workers,
        idle_connections=settings.idle_connections,
        idle_timeout_s=settings.idle_timeout,
        host_from_backend=settings.host_header == "backend",
        max_in_flight=_share(admission.max_in_flight, workers),
        max_in_flight_per_backend=_share(admission.max_in_flight_per_backend, workers),
        queue=_share(admission.queue, workers),
        queue_timeout_s=admission.queue_timeout,
        adaptive=admission.adaptive,
        hash_on=settings.hash_on,
    )


def _share(bound: int, workers: int) -> int:
    return -(-bound // workers)


class PoolSet:
    """The pools of a worker across reloads: what stays keeps its connections, load and counters."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.pools: dict[str, Pool] = {}
        self.gone: dict[str, Pool] = {}
        """Pools that a reload removed; their counters are still counted, and go on should they come back."""
        self._contexts: dict[UpstreamTlsSettings, ssl.SSLContext] = {}
        self._stamps: dict[UpstreamTlsSettings, tuple[float, ...]] = {}

    def reconfigure(
        self,
        settings: BalancerSettings,
        discovered: Iterable[Endpoint],
        strategies: Mapping[str, StrategyName],
        workers: int,
    ) -> dict[str, Pool]:
        """The pools of these settings. Raises :class:`~holdfast.proxy.TlsError` before anything changed."""
        # A context takes tens of milliseconds (it reads all trusted certificates), so pools with the same
        # settings share one, and pools without https make none.
        contexts: dict[UpstreamTlsSettings, ssl.SSLContext] = {}
        for pool_settings in settings.pools.values():
            if _wants_tls(pool_settings) and pool_settings.tls not in contexts:
                contexts[pool_settings.tls] = self._context(pool_settings.tls)
        self._contexts = contexts
        found: dict[str, list[tuple[str, str, float]]] = {}
        for endpoint in discovered:
            found.setdefault(endpoint.pool, []).append((endpoint.backend, endpoint.url, endpoint.weight))
        previous, self.pools = self.pools, {}
        for name, pool_settings in settings.pools.items():
            policy = pool_policy(pool_settings, workers)
            strategy = strategies.get(name, pool_settings.strategy)
            pool = previous.pop(name, None) or self.gone.pop(name, None) or Pool(name, policy, strategy, self._rng)
            listed = [(backend.id, backend.url, backend.weight) for backend in pool_settings.backends]
            server_name = pool_settings.tls.server_name
            members = [
                self._backend(pool, backend, url, weight, contexts.get(pool_settings.tls), server_name)
                for backend, url, weight in (*listed, *found.get(name, ()))
            ]
            pool.reconfigure(policy, members)
            pool.switch(strategy)
            self.pools[name] = pool
        for name, pool in previous.items():
            pool.reconfigure(pool.policy, ())
            self.gone[name] = pool
        for name in list(self.gone)[:-_GONE_KEPT]:
            del self.gone[name]
        return self.pools

    def _context(self, settings: UpstreamTlsSettings) -> ssl.SSLContext:
        """The context for these settings; a new one when they or the files behind them changed."""
        stamps = _stamps(settings)
        present = self._contexts.get(settings)
        if present is not None and self._stamps.get(settings) == stamps:
            return present
        context = client_context(verify=settings.verify, ca=settings.ca, cert=settings.cert, key=settings.key)
        self._stamps[settings] = stamps
        return context

    def _backend(
        self,
        pool: Pool,
        name: str,
        url: str,
        weight: float,
        context: ssl.SSLContext | None,
        server_name: str | None,
    ) -> Backend:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        present = pool.backend(name)
        if present is not None:
            address = present.address
            same = (address.host, address.port, address.context) == (host, port, context if secure else None)
            if same and (not secure or address.server_name == server_name):
                present.nominal_weight = weight or 1.0
                return present
        address = Address(host=host, port=port, context=context if secure else None, server_name=server_name)
        return Backend(name, address, weight=weight)


def _wants_tls(settings: PoolSettings) -> bool:
    if settings.discovery is not None and settings.discovery.scheme == "https":
        return True
    return any(backend.url.startswith("https:") for backend in settings.backends)


def _stamps(settings: UpstreamTlsSettings) -> tuple[float, ...]:
    """When the files were last written; a file that is gone is for the loader to complain about."""
    paths = (settings.ca, settings.cert, settings.key)
    return tuple(Path(path).stat().st_mtime if Path(path).exists() else 0.0 for path in paths if path is not None)
