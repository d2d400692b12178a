"""What can be wrong with a language profile."""

from __future__ import annotations

from holdfast.kernel import HoldfastError


class ProfileError(HoldfastError):
    """A profile cannot be used; the text names the file, the path in it and the remedy."""

    exit_code = 2
