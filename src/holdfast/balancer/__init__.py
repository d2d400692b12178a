"""The load balancer: a master that decides and workers that relay.

:func:`serve` runs it; the settings are the ``balancer:`` section of ``holdfast.yaml``.
"""

from holdfast.balancer.core.settings import BalancerSettings
from holdfast.balancer.errors import AddressError, BalancerError, ReloadError
from holdfast.balancer.shell.serve import serve

__all__ = ["AddressError", "BalancerError", "BalancerSettings", "ReloadError", "serve"]
