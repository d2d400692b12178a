"""Parameters of queries: times, pages."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from litestar.params import QueryParameter

from holdfast.kernel import Duration
from holdfast.netpulse.shell.api.problems import ProblemError
from holdfast.web.times import moment

PAGE: Final = 500
LONGEST_S: Final = 1_100 * 86_400.0
CURSOR: Final = 200
"""Characters."""

Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=PAGE, description="Most entries in the page.")]
Cursor: TypeAlias = Annotated[str | None, QueryParameter(max_length=CURSOR, description="`next` of the page before.")]
Time: TypeAlias = Annotated[str | None, QueryParameter(max_length=40, description="RFC 3339, or how long ago: `24h`.")]


def time_of(text: str | None, *, name: str, now: float, default: float) -> float:
    """Seconds since the epoch. Raises :class:`ProblemError`."""
    if text is None:
        return default
    try:
        return now - Duration.parse(text)
    except ValueError:
        pass
    try:
        # A plus of an offset that was not quoted arrives as a space.
        return moment(text.replace(" ", "+"))
    except ValueError as wrong:
        raise ProblemError("invalid-request", f"{name}: {wrong}, or how long ago, like 24h", field=name) from None


def stretch(since: str | None, until: str | None, *, now: float, default_s: float) -> tuple[float, float]:
    """From when to when. Raises :class:`ProblemError`."""
    end = time_of(until, name="until", now=now, default=now)
    begin = time_of(since, name="since", now=now, default=end - default_s)
    if not begin < end:
        raise ProblemError("invalid-request", "since: is not before until", field="since")
    if end - begin > LONGEST_S:
        raise ProblemError("invalid-request", "since: more than 1100 days before until; ask for less", field="since")
    return begin, end
