"""The ``console:`` section of ``holdfast.yaml``, and what makes one sound."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from holdfast.kernel import Duration
from holdfast.kernel.settings import Problem, Section

SHORTEST_SESSION_S = 60.0
LONGEST_SESSION_S = 30 * 86_400.0


class ConsoleSettings(Section, frozen=True):
    """The web UI. Whoever signs in needs an API key of the services that it shows."""

    listen: str = "127.0.0.1:8085"
    """``HOST:PORT``; plain HTTP, TLS is for the balancer in front."""
    execution: str | None = None
    """``http://HOST:PORT`` of the execution API; without it there are no run-code pages."""
    netpulse: str | None = None
    """``http://HOST:PORT`` of NetPulse's API; without it there are no pages about monitors and incidents."""
    balancer: str | None = None
    """``http://HOST:PORT`` of the balancer's admin plane, for its link on the overview."""
    blog: str | None = None
    """``http://HOST:PORT`` of the blog, for its link on the overview."""
    session: Duration = Duration(12 * 3600.0)
    """A session ends this long after it was last used, and when the console restarts."""
    secure_cookies: bool = False
    """Send cookies over TLS only. Switch it on when browsers reach the console by https."""
    demo_api_key: str | None = None
    """API key that visitors on this machine are signed in with by themselves. For the demo only."""


def validate(settings: ConsoleSettings) -> list[Problem]:
    """Everything that is wrong with the values; empty when they can be served."""
    return [*_listen(settings.listen), *_session(settings.session), *_urls(settings), *_demo(settings)]


def split_listen(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``[IPV6]:PORT``. Raises ``ValueError``."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.port is None or parts.path or parts.username is not None:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return parts.hostname, parts.port


def _listen(text: str) -> Iterator[Problem]:
    try:
        split_listen(text)
    except ValueError:
        yield Problem(
            path=("listen",), value=text, message="not an address", remedy="write HOST:PORT, like 127.0.0.1:8085"
        )


def _session(lifetime: Duration) -> Iterator[Problem]:
    if not SHORTEST_SESSION_S <= lifetime <= LONGEST_SESSION_S:
        yield Problem(
            path=("session",),
            value=lifetime,
            message="out of range",
            remedy=f"choose from {Duration(SHORTEST_SESSION_S)} to {Duration(LONGEST_SESSION_S)}",
        )


def _urls(settings: ConsoleSettings) -> Iterator[Problem]:
    for name, url in (
        ("execution", settings.execution),
        ("netpulse", settings.netpulse),
        ("balancer", settings.balancer),
        ("blog", settings.blog),
    ):
        if url is not None and not _is_base_url(url):
            yield Problem(
                path=(name,),
                value=url,
                message="not the URL of a service",
                remedy="write http://HOST:PORT, without a path and without credentials",
            )


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(host)
        and port != 0
        and parts.path in {"", "/"}
        and not (parts.query or parts.fragment or "@" in parts.netloc)
    )


def _demo(settings: ConsoleSettings) -> Iterator[Problem]:
    if settings.demo_api_key is not None and settings.execution is None and settings.netpulse is None:
        yield Problem(
            path=("demo_api_key",),
            value=None,
            message="a key, but no service that it is for",
            remedy="set execution: or netpulse: to the URL of a service, or remove demo_api_key",
            related=(("execution",), ("netpulse",)),
        )
