"""What requests of every origin have in common: URLs with credentials, header fields, codes, patterns, addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from holdfast.kernel.addresses import is_public
from holdfast.netpulse.core.importing.draft import Entry, Secret
from holdfast.netpulse.core.importing.source import Place

CODES: Final = frozenset(range(100, 600))
ANY_STATUS: Final = ("100-599",)

_SECRET_NAME: Final = re.compile(
    r"auth|cookie|credential|pass(?:wd|word|phrase|code)?$|^pwd$|secret|token|api.?key|access.?key|private.?key"
    r"|subscription.?key|^(?:key|sig|signature|code|jwt|session)$",
    re.IGNORECASE,
)
"""Names whose values are taken for secrets. Wide: a variable too many is a line more, one too few is a leak."""
_SECRET_IN_BODY: Final = re.compile(
    r"[\"'&?]?\b[\w\-]*(?:password|passwd|secret|token|api_?key|authorization)[\w\-]*[\"']?\s*(?:[:=]|</?|>)",
    re.IGNORECASE,
)
_SECRET_LINE: Final = re.compile(r"\b(?:auth|pass|login|password)\b", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?")
_SCHEME_WORD: Final = re.compile(r"^\s*(?:bearer|basic|token|apikey)\b", re.IGNORECASE)
_SET_BY_PROBE: Final = frozenset({"content-length", "transfer-encoding", "connection", "host", "upgrade"})
_QUERY: Final = re.compile(r"([?&;])([^=&;#]+)=([^&;#]+)")
_STEP: Final = re.compile(r"(?:\[(?P<index>[0-9]{1,9})\]|(?P<name>[^.\[\]'\"\\*\s]+))\.?")
_MEMBER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOCAL_NAMES: Final = (".local", ".lan", ".internal", ".intranet", ".home", ".home.arpa", ".localdomain", ".svc")


def secret_name(name: str) -> bool:
    """Whether a value of this name is taken for a secret."""
    return _SECRET_NAME.search(name) is not None


def is_reference(text: str) -> bool:
    """Whether what is secret in a text comes from the environment already: ``Bearer ${TOKEN}``."""
    rest = _SCHEME_WORD.sub("", _VARIABLE.sub("", text))
    return _VARIABLE.search(text) is not None and not any(each.isalnum() for each in rest)


def request_url(entry: Entry, place: Place, text: str) -> dict[str, Any]:
    """``url``, and ``username`` and ``password`` when they stood in it."""
    found: dict[str, Any] = {}
    try:
        parts = urlsplit(text.strip())
        host = parts.hostname or ""
        netloc = parts.netloc
    except ValueError:
        entry.refuse("its URL is not one")
    bare = text.strip()
    if "@" in netloc:
        user = netloc.rpartition("@")[0]
        name, _, password = user.partition(":")
        bare = bare.replace(f"{user}@", "", 1)
        found["username"] = unquote(name)
        found["password"] = _credential(unquote(password), "PASSWORD", place.path)
    found["url"] = _without_secret(bare, place)
    private(entry, host)
    return found


def _without_secret(url: str, place: Place) -> str | Secret:
    """The URL, its secret parameter replaced; from the first to the last of them when there are several."""
    secrets = [match for match in _QUERY.finditer(url) if secret_name(unquote(match[2])) and not is_reference(match[3])]
    if not secrets:
        return url
    start, end = secrets[0].start(3), secrets[-1].end(3)
    what = "TOKEN" if len(secrets) == 1 else "QUERY_SECRET"
    return Secret(url[start:end], what, place.path, before=url[:start], after=url[end:])


def header_fields(entry: Entry, fields: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """Header fields (name, value, where); secrets replaced, what the probe says itself left out."""
    found: dict[str, Any] = {}
    for name, value, path in fields:
        if name.lower() in _SET_BY_PROBE:
            entry.dropped(path, f"the field {name} is set by the probe itself")
        elif not value.isascii() or not value.isprintable() or not re.fullmatch(r"[!#-'*+\-.^-z|~\w]{1,100}", name):
            entry.dropped(path, "not a header field: only printable ASCII can be sent")
        elif value and (secret_name(name) or _SCHEME_WORD.match(value)) and not is_reference(value):
            found[name] = Secret(value, re.sub(r"[^A-Z0-9]+", "_", name.upper()), path)
        else:
            found[name] = value
    return found


def request_body(text: str, path: str) -> str | Secret:
    """A body; all of it a secret when something in it looks like one."""
    return Secret(text, "BODY_SECRET", path) if _SECRET_IN_BODY.search(text) and not is_reference(text) else text


def sent(text: str, path: str) -> str | Secret:
    """What is sent on a connection; a secret when it logs somebody in."""
    told = _SECRET_LINE.search(text) or _SECRET_IN_BODY.search(text)
    return Secret(text, "SEND_SECRET", path) if told and not is_reference(text) else text


def wanted_value(name: str, value: str, path: str) -> str | Secret:
    """What a part of the body has to be; a secret when the part is called like one."""
    return Secret(value, "EXPECTED_SECRET", path) if secret_name(name) and not is_reference(value) else value


def without_credentials(target: str) -> str:
    """A target as it may be shown: no user, and none of the query, where tokens are."""
    return re.sub(r"^([a-z+]+://)?[^/@]*@", r"\1", target.partition("?")[0])


def _credential(value: str, what: str, path: str) -> str | Secret:
    return value if not value or is_reference(value) else Secret(value, what, path)


def password(place: Place) -> str | Secret:
    """A password."""
    return _credential(place.text(), "PASSWORD", place.path)


def token(place: Place) -> str | Secret:
    """A bearer token."""
    return _credential(place.text(), "TOKEN", place.path)


def statuses(codes: Iterable[int]) -> tuple[str, ...]:
    """Codes as the configuration writes them: ``200``, ``2xx``, ``200-204``."""
    found: list[str] = []
    rest = sorted(set(codes) & CODES)
    while rest:
        first = last = rest.pop(0)
        while rest and rest[0] == last + 1:
            last = rest.pop(0)
        if first % 100 == 0 and last == first + 99:
            found.append(f"{first // 100}xx")
        else:
            found.append(str(first) if first == last else f"{first}-{last}")
    return tuple(found)


def private(entry: Entry, host: str) -> None:
    """Let the monitor ask a host that is visibly not on the internet, and say that agents have to allow it, too."""
    host = host.strip("[]").lower().rstrip(".")
    if not host or "$" in host:
        return
    try:
        closed = not is_public(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        closed = "." not in host or host.endswith(_LOCAL_NAMES)
    if closed:
        entry.settings["allow_private"] = True
        entry.draft.general("asks a private address: set agents.allow_private: true where agents may do that")


def patterns(wanted: Iterable[str], unwanted: Iterable[str]) -> str:
    """One regular expression for several: all of the wanted ones match somewhere, none of the unwanted."""
    yes, no = list(wanted), list(unwanted)
    if len(yes) == 1 and not no:
        return yes[0]
    return (
        r"\A"
        + "".join(rf"(?=[\s\S]*?(?:{_inner(each)}))" for each in yes)
        + "".join(rf"(?![\s\S]*?(?:{_inner(each)}))" for each in no)
    )


def _inner(pattern: str) -> str:
    """A pattern that begins with flags, with them around it instead: flags are for the beginning of all."""
    match = re.match(r"\(\?([aims]+)\)", pattern)
    return f"(?{match[1]}:{pattern[match.end() :]})" if match else pattern


def glob(pattern: str, escape: Callable[[str], str] = re.escape) -> str:
    """A pattern of ``*`` and ``?`` for a whole text, as a regular expression."""
    parts = re.split(r"(\*+|\?)", pattern)
    return rf"(?s)\A{''.join('.*' if each[:1] == '*' else '.' if each == '?' else escape(each) for each in parts)}\Z"


def json_path(steps: str, *, names: str = r"[^()]+") -> str | None:
    """``data.items[0].state`` as RFC 9535 writes it; ``None`` when there is more in it than names and indexes.

    ``names`` is what a name looks like there.
    """
    steps = steps.removeprefix("$").removeprefix(".")
    found = "$"
    while steps:
        match = _STEP.match(steps)
        if match is None:
            return None
        index, name = match["index"], match["name"]
        if name is not None and not re.fullmatch(names, name):
            return None
        if index is not None:
            found += f"[{int(index)}]"
        else:
            found += f".{name}" if _MEMBER.fullmatch(name) else f"['{name}']"
        steps = steps[match.end() :]
    return found
