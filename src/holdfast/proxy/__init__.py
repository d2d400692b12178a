"""The data plane: asyncio protocols that relay HTTP/1.1 between clients and pools of backends."""

from holdfast.proxy.accesslog import AccessLog
from holdfast.proxy.backend import Address, Backend, Failure, OutcomeRun
from holdfast.proxy.engine import Engine
from holdfast.proxy.plan import Routed
from holdfast.proxy.policy import EdgePolicy, Network, PoolPolicy
from holdfast.proxy.pool import LATENCY_BOUNDS_S, Pool
from holdfast.proxy.tls import Certificate, Certificates, TlsError, client_context

__all__ = [
    "LATENCY_BOUNDS_S",
    "AccessLog",
    "Address",
    "Backend",
    "Certificate",
    "Certificates",
    "EdgePolicy",
    "Engine",
    "Failure",
    "Network",
    "OutcomeRun",
    "Pool",
    "PoolPolicy",
    "Routed",
    "TlsError",
    "client_context",
]
