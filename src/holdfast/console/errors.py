"""What the console raises."""

from __future__ import annotations

from holdfast.kernel import HoldfastError


class ConsoleError(HoldfastError):
    """Base class."""


class AddressError(ConsoleError):
    """The listening address cannot be taken."""

    exit_code = 2


class ServiceProblem(ConsoleError):
    """A service answered with a problem, or not at all. The page for it says what to do.

    ``status`` is that of the answer, 502 or 504 when there was none of use; ``title`` and ``detail`` are the
    service's own words (RFC 9457); ``field`` is the path of the value that was refused.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}" if detail else f"{status} {title}")
        self.status = status
        self.title = title
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s


class Refused(ConsoleError):
    """A request is not what one of our own pages sends: no CSRF token, another origin, a form too large."""

    def __init__(self, status: int, title: str, remedy: str) -> None:
        super().__init__(f"{title}; {remedy}")
        self.status = status
        self.title = title
        self.remedy = remedy


class SignInNeeded(ConsoleError):
    """The page is for those who have signed in."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why or "sign in first")
        self.why = why
