"""The load balancer: a master that decides and workers that relay.

:func:`serve` runs it; the settings are the ``balancer:`` section of ``holdfast.yaml``.
"""

from holdfast.balancer.core.settings import BalancerSettings
from holdfast.balancer.errors import AddressError, BalancerError, ReloadError
from holdfast.balancer.shell.master import Addresses, serve

__all__ = ["AddressError", "Addresses", "BalancerError", "BalancerSettings", "ReloadError", "serve"]
