"""What the balancer raises. Every error names the place and the remedy."""

from __future__ import annotations

from typing import ClassVar

from holdfast.kernel import HoldfastError


class BalancerError(HoldfastError):
    """Base class. ``where`` is the setting, address or process; ``remedy`` what to do about it."""

    status: ClassVar[int] = 500
    """The answer of the admin plane when a request of an operator ran into this."""

    def __init__(self, error: str, *, where: str, remedy: str) -> None:
        """Keep the three parts apart, so that the admin plane can answer them as fields."""
        super().__init__(f"{where}: {error}; {remedy}")
        self.error = error
        self.where = where
        self.remedy = remedy


class AddressError(BalancerError):
    """A listening address that cannot be taken."""

    exit_code = 2


class ControlError(BalancerError):
    """The channel between master and worker broke a rule: frame, size, deadline or order."""


class WorkerError(BalancerError):
    """A worker could not be kept running, or does not do what it was told."""

    status = 503


class DiscoveryError(BalancerError):
    """A name could not be resolved. The last good answer stays in force."""


class ReloadError(BalancerError):
    """A new configuration was refused; the old one stays in force."""

    status = 400
    exit_code = 2


class NotFoundError(BalancerError):
    """An operator named a pool or a backend that does not exist."""

    status = 404


class RequestError(BalancerError):
    """An operator's request was malformed."""

    status = 400
