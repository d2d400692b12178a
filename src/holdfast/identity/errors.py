"""What can go wrong with tenants and keys."""

from __future__ import annotations

from holdfast.kernel import HoldfastError


class IdentityError(HoldfastError):
    """What was asked for cannot be done: a bad name, an unknown role, a key that has ended. The text says which."""

    exit_code = 2
