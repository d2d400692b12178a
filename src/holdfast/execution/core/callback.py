"""Calling back: which addresses may be called, and what follows from an answer. Pure.

A callback is a request that a stranger makes us send. From where we stand it could reach what the
stranger cannot: a database on loopback, the metadata service of a cloud, a neighbour's admin page.
So the target is judged twice: its text when the job is submitted, and every address that its name
stands for when it is called. Whoever sends has to connect to the very address that was judged, or a
name that changes in between (DNS rebinding) makes the judgement void.

An attempt ends in one of three ways:

    delivered   2xx
    again       anything else, after a wait that grows; not before a `Retry-After` that was asked for
    dead        attempts used up; or 410 Gone, by which a receiver says that it wants no more; or an
                address that may not be called
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from holdfast.kernel.addresses import Address, is_public
from holdfast.resilience.backoff import full_jitter

if TYPE_CHECKING:
    from random import Random

    from holdfast.execution.core.settings import CallbackSettings

URL_LIMIT: Final = 2048
"""Characters of a callback URL."""
PORTS: Final = frozenset({80, 443})
"""Ports below 1024 that may be called. The others are no web servers, and some obey what HTTP carries (SMTP)."""
RETRY_AFTER_LIMIT_S: Final = 86_400.0
"""Longest `Retry-After` that is honoured: a callback has to come to an end."""

_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.?"
)
_NUMBER: Final = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\.?")
_REST: Final = re.compile(r"[!-~]*")
_PRIVATE: Final = "the callback URL leads to an address that is not on the public internet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL in parts, every part checked."""

    scheme: str
    host: str
    """In lower case, without brackets."""
    port: int
    path: str
    """With the query; begins with ``/``."""

    @property
    def authority(self) -> str:
        """For the ``Host`` field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


def target(url: str, *, allow_private: bool) -> Target | str:
    """Read a callback URL; a text says what is wrong with it and what to do.

    An address in it is judged here; a name when it is resolved (:func:`judge_addresses`).
    """
    if len(url) > URL_LIMIT or not _REST.fullmatch(url):
        return f"a callback URL has at most {URL_LIMIT} characters, all of them printable ASCII without spaces"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        return f"the callback URL cannot be read: {wrong}"
    if parts.scheme not in {"http", "https"}:
        return "a callback URL begins with https:// or http://"
    if "@" in parts.netloc:
        return "a callback URL carries no user and password; callbacks are signed instead"
    if "\\" in url:
        return "a callback URL has no backslash"
    host = parts.hostname or ""
    port = {"http": 80, "https": 443}[parts.scheme] if port is None else port
    if port not in PORTS and not 1024 <= port <= 65535:
        return "a callback goes to port 80, 443, or one from 1024 on"
    problem = _host_problem(host, bracketed="[" in parts.netloc, allow_private=allow_private)
    if problem is not None:
        return problem
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=host, port=port, path=path)


def _host_problem(host: str, *, bracketed: bool, allow_private: bool) -> str | None:
    if not bracketed and not _NUMBER.fullmatch(host.rpartition(".")[2] or host.rstrip(".").rpartition(".")[2]):
        if not _HOST.fullmatch(host):
            return "the host of the callback URL is no domain name; write international ones in their xn-- form"
        local = f".{host.rstrip('.')}".endswith(".localhost")
        return _PRIVATE if local and not allow_private else None
    # A name cannot end in a number, so this is an address. Resolvers also know 127.1, 0x7f000001 and 017700000001.
    try:
        address = ip_address(host)
    except ValueError:
        return "the address in the callback URL is not in its usual form, like 192.0.2.1 or [2001:db8::1]"
    if "%" in host:
        return "the address in the callback URL names a network interface; leave that out"
    return None if allow_private else refusal(address)


def judge_addresses(addresses: list[str], *, allow_private: bool) -> str | None:
    """Whether a name with these addresses may be called; a text says why not.

    One that may not be called spoils them all: a name that stands for an inner and an outer address at a time is
    either a mistake or a trick.
    """
    for text in addresses:
        try:
            address = ip_address(text)
        except ValueError:
            return "the name has an address that cannot be read"
        if not allow_private and (reason := refusal(address)) is not None:
            return reason
    return None if addresses else "the name has no address"


def refusal(address: Address) -> str | None:
    """Why an address may not be called; ``None`` when it may."""
    return None if is_public(address) else _PRIVATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of calling."""

    status: int | None = None
    """Of the answer, if there was one."""
    retry_after_s: float | None = None
    failure: str = ""
    """Why there was no answer; shown to the job's owner."""
    forbidden: bool = False
    """The address may not be called."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class Again:
    """To be tried again."""

    after_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Given up, until somebody replays it."""

    why: str


Consequence: TypeAlias = Delivered | Again | Dead


def consequence(attempt: Attempt, *, attempts: int, settings: CallbackSettings, rng: Random) -> Consequence:
    """What follows from an attempt, which was number ``attempts`` (from 1)."""
    if attempt.status is not None and 200 <= attempt.status < 300:
        return Delivered()
    if attempt.status is None:
        why = attempt.failure
    elif 300 <= attempt.status < 400:
        why = f"answered {attempt.status}; redirects are not followed, give the final address"
    else:
        why = f"answered {attempt.status}"
    if attempt.forbidden or attempt.status == 410 or attempts >= settings.attempts:
        return Dead(why)
    wait_s = full_jitter(attempts - 1, rng, base_s=settings.backoff_min, cap_s=settings.backoff_max)
    # Forward only: whoever asks for less than our own wait is not asking for mercy.
    return Again(max(wait_s, min(attempt.retry_after_s or 0.0, RETRY_AFTER_LIMIT_S)), why)
