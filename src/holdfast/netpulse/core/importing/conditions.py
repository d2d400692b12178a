"""Gatus' conditions as settings of a check: ``[STATUS] == 200``, ``[BODY].status == UP``, ``[RESPONSE_TIME] < 500``.

A condition is two sides and a comparison between spaces (``config/endpoint/condition.go``); a number of milliseconds
may be written as a duration. Several conditions about the status are one set of codes here. What a check has no
setting for is dropped, and said to be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.kernel import Duration
from holdfast.netpulse.core.importing.draft import Entry, shown
from holdfast.netpulse.core.importing.http import (
    ANY_STATUS,
    CODES,
    glob,
    json_path,
    secret_name,
    statuses,
    wanted_value,
)
from holdfast.netpulse.core.importing.source import Place, span

_CONDITION: Final = re.compile(r"(?P<left>.+?) (?P<how>==|!=|<=|>=|<|>) (?P<right>.*)", re.DOTALL)
_TURNED: Final = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_HOLDS: Final[dict[str, Callable[[int, int], bool]]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
_PLACEHOLDER: Final = re.compile(
    r"(?:(?P<function>len|has)\()?\[(?P<name>[A-Z_]+)\](?P<path>[.\[][^)]*)?\)?", re.DOTALL
)
_CALL: Final = re.compile(r"(pat|any)\((.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """``len([BODY].items) > 2`` in its parts."""

    function: str
    """``len`` or ``has``, or nothing."""
    path: str
    """``.items``."""
    how: str
    right: str


@dataclass(slots=True)
class Wanted:
    """What the conditions of one endpoint come to."""

    entry: Entry
    kind: str
    codes: frozenset[int] = CODES
    asked_status: bool = False
    check: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    """Of the condition at hand."""

    def read(self, place: Place) -> None:
        """Take one condition over, or say why not."""
        text, self.path = place.text().strip(), place.path
        match = _CONDITION.fullmatch(text)
        if match is None:
            self.entry.dropped(place, f"not a condition: {shown(text, 60)}")
            return
        left, how, right = match["left"].strip(), match["how"], match["right"].strip()
        if _PLACEHOLDER.fullmatch(left) is None and _PLACEHOLDER.fullmatch(right) is not None:
            left, how, right = right, _TURNED[how], left
        placeholder = _PLACEHOLDER.fullmatch(left)
        problem = "it has no counterpart"
        if placeholder is not None:
            reader = _READERS.get(placeholder["name"])
            if reader is not None:
                problem = reader(
                    self,
                    Claim(function=placeholder["function"] or "", path=placeholder["path"] or "", how=how, right=right),
                )
        if problem:
            what = f"{left} {how} ***" if secret_name(left.rpartition(".")[2]) else text
            self.entry.dropped(place, f"{shown(what, 60)}: {problem}")

    def settings(self) -> dict[str, Any]:
        """Of the check, the codes among them."""
        if self.kind != "http":
            return self.check
        found = statuses(self.codes)
        if not found:
            self.entry.refuse("its conditions about the status contradict each other")
        return {**self.check, "status": ANY_STATUS if self.codes == CODES else found}

    def once(self, **settings: Any) -> str:
        """Set what can be said once only."""
        if taken := self.check.keys() & settings.keys():
            return f"a second condition on {', '.join(sorted(taken))}: write a monitor of its own for it"
        self.check.update(settings)
        return ""


def _status(wanted: Wanted, claim: Claim) -> str:
    if wanted.kind != "http" or claim.function or claim.path:
        return "there is no status to look at" if wanted.kind != "http" else "it has no counterpart"
    call = _CALL.fullmatch(claim.right)
    options = [each.strip() for each in call[2].split(",")] if call and call[1] == "any" else [claim.right]
    if call and call[1] == "pat":
        if len(call[2]) > 10 or claim.how not in ("==", "!="):
            return "not a pattern of codes"
        pattern = re.compile(glob(call[2]))
        found = {code for code in CODES if pattern.match(str(code))}
        found = found if claim.how == "==" else set(CODES - found)
    elif not all(re.fullmatch(r"[0-9]{1,4}", each) for each in options) or (
        len(options) > 1 and claim.how not in ("==", "!=")
    ):
        return "not a number"
    else:
        numbers = [int(each) for each in options]
        holds, enough = _HOLDS[claim.how], all if claim.how == "!=" else any
        found = {code for code in CODES if enough(holds(code, each) for each in numbers)}
    wanted.codes &= found
    return ""


def _time(wanted: Wanted, claim: Claim) -> str:
    if claim.function or claim.path or claim.how not in ("<", "<="):
        return "it has no counterpart"
    if wanted.kind != "http":
        return "a bound on the time is for http checks; others learn theirs"
    limit = _milliseconds(claim.right)
    if limit is None or not 0 < limit <= 120_000:
        return "not a time from 1 ms to 2 minutes"
    wanted.entry.draft.general("[RESPONSE_TIME]: a slow answer is a condition of its own here, not an outage")
    return wanted.once(max_time=str(Duration(limit / 1000)))


def _certificate(wanted: Wanted, claim: Claim) -> str:
    if claim.function or claim.path or claim.how not in (">", ">="):
        return "it has no counterpart"
    left = _milliseconds(claim.right)
    if wanted.kind not in ("http", "tls") or left is None:
        return "there is no certificate to look at" if left is not None else "not a duration"
    days = math.ceil(left / 86_400_000)
    wanted.entry.draft.general("[CERTIFICATE_EXPIRATION]: a certificate that ends soon is a condition of its own here")
    return wanted.once(cert_days=min(max(days, 0), 365))


def _connected(_: Wanted, claim: Claim) -> str:
    sure = (claim.how, claim.right) in (("==", "true"), ("!=", "false"))
    return "" if sure else "a target that must not answer has no counterpart"


def _rcode(wanted: Wanted, claim: Claim) -> str:
    if (claim.how, claim.right) == ("==", "NOERROR") and wanted.kind == "dns":
        return ""  # what a check asks for by itself, and at least one answer
    return "only an answer is well: a name that must not be there has no counterpart"


def _body(wanted: Wanted, claim: Claim) -> str:
    call = _CALL.fullmatch(claim.right)
    if wanted.kind == "http" and (claim.function or claim.path):
        return _json(wanted, claim)
    if claim.how != "==" or claim.function or claim.path or (call and call[1] == "any"):
        return "it has no counterpart"
    pattern = call[2] if call else None
    inner = pattern[1:-1] if pattern and len(pattern) > 2 and pattern[0] == pattern[-1] == "*" else None
    plain = inner if inner and not re.search(r"[*?]", inner) else None
    if wanted.kind == "http":
        if plain is not None:
            return wanted.once(contains=plain)
        whole = rf"\A{_escaped(claim.right)}\Z"
        return wanted.once(regex=whole if pattern is None else glob(pattern, _escaped))
    if wanted.kind in ("tcp", "websocket") and (plain or pattern is None) and claim.right:
        return wanted.once(expect=plain or claim.right)
    if wanted.kind == "dns" and pattern is None and claim.right:
        wanted.check.setdefault("expect", []).append(claim.right)
        return ""
    return "it has no counterpart"


def _json(wanted: Wanted, claim: Claim) -> str:
    query = json_path(claim.path)
    if query is None:
        return "a path of more than names and indexes; write `jsonpath` by hand"
    if claim.function == "len":
        number = int(claim.right) if claim.right.isdecimal() and len(claim.right) < 7 else -1
        last = {">": number, ">=": number - 1}.get(claim.how, -1)
        # So many items are there when the last of them is.
        return wanted.once(jsonpath=f"{query}[{last}]") if last >= 0 else "it has no counterpart"
    if claim.function == "has":
        sure = (claim.how, claim.right) in (("==", "true"), ("!=", "false"))
        return wanted.once(jsonpath=query) if sure else "a part that must not be there has no counterpart"
    if claim.how != "==" or _CALL.fullmatch(claim.right):
        return "a value of the body can only be compared with one text; write `jsonpath` by hand"
    if not claim.right:
        return "an empty value cannot be asked for"
    return wanted.once(jsonpath=query, equals=wanted_value(query.rpartition(".")[2], claim.right, wanted.path))


def _escaped(text: str) -> str:
    """A text for a regular expression, its variables left alone and its ``$$`` the dollar that they stand for."""
    parts = re.split(r"(\$\$|\$\{\w+\}|\$\w+)", text)
    return "".join(
        re.escape(each) if index % 2 == 0 else r"\$$" if each == "$$" else each for index, each in enumerate(parts)
    )


def _milliseconds(text: str) -> float | None:
    if text.isdecimal() and len(text) < 16:
        return float(text)
    try:
        return span(text) * 1000
    except ValueError:
        return None


_READERS: Final[dict[str, Callable[[Wanted, Claim], str]]] = {
    "STATUS": _status,
    "RESPONSE_TIME": _time,
    "CERTIFICATE_EXPIRATION": _certificate,
    "CONNECTED": _connected,
    "DNS_RCODE": _rcode,
    "BODY": _body,
}
"""Each gives what is wrong, or nothing. ``[IP]`` and ``[DOMAIN_EXPIRATION]`` have no counterpart."""
