"""Personal data that can be told from other text: e-mail addresses, IBANs, cards, telephone numbers.

What only looks like one is left alone: a check digit decides where there is one (Luhn, ISO 7064 mod 97-10), lengths
and prefixes of issuers and countries elsewhere. Names and postal addresses need understanding, and are not looked for.
"""

from __future__ import annotations

import re

from holdfast.gateway.core.guard.detector import Detector, Span, Verdict

# ------------------------------------------------------------ e-mail

_NOT_DOMAINS = frozenset(
    {
        "service",
        "socket",
        "target",
        "timer",
        "mount",
        "slice",
        "scope",
        "local",
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "ico",
        "css",
        "js",
        "jsx",
        "ts",
        "tsx",
        "py",
        "rb",
        "go",
        "rs",
        "java",
        "html",
        "htm",
        "json",
        "yaml",
        "yml",
        "toml",
        "md",
        "txt",
    }
)
"""Last labels of what has an at sign and is no address: ``getty@tty1.service``, ``icon@2x.png``. Some of these are
top-level domains as well (``md``, ``py``, ``rs``): they count when the name before has a dot or three letters."""
_AMBIGUOUS = frozenset({"md", "py", "rs", "go"})


def emails() -> Detector:
    """Addresses of RFC 5321 as they are in use: no quoted local parts, no address literals."""

    def confirm(match: re.Match[str]) -> Verdict:
        local, _, domain = match[0].rpartition("@")
        last = domain.rpartition(".")[2].lower()
        sure = (last not in _NOT_DOMAINS or last in _AMBIGUOUS) and local != "git"
        return ((Span(match.start(), match.end(), "emails"),) if sure else ()), match.end()

    return Detector(
        name="emails",
        pattern=re.compile(
            r"(?<![\w%+-])[\w%+-][\w.%+-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"
        ),
        begun=re.compile(r"(?<![\w%+-])[\w%+-][\w.%+-]{0,63}(?:@[\w.-]{0,600})?\Z"),
        reach=700,
        trigger="@",
        bud=r"(?<![\w%+-])[\w%+-][\w.%+-]{0,63}\Z",
        anchors=("@",),
        head=re.compile(r"(?<![\w%+-])[\w%+-][\w.%+-]{0,63}\Z"),
        head_reach=64,
        tail=re.compile(r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"),
        confirm=confirm,
    )


# ------------------------------------------------------------ IBAN

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR":
    29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20,
    "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR":
    27, "GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30,
    "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD":
    24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD":
    18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26,
    "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""Characters of an IBAN by country: SWIFT's IBAN registry (ISO 13616), release 99."""


def iban_is_valid(iban: str) -> bool:
    """Whether the check digits are right (ISO 13616: mod 97 of the rearranged number is 1). Capitals, no spaces."""
    if IBAN_LENGTHS.get(iban[:2]) != len(iban):
        return False
    try:
        return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1
    except ValueError:
        return False


def ibans() -> Detector:
    """Account numbers, with or without spaces between the groups."""

    def confirm(match: re.Match[str]) -> Verdict:
        text, start = match[0], match.start()
        left, length = IBAN_LENGTHS.get(text[:2], 0), 0
        if not left:
            return (), start + 4
        for length, char in enumerate(text, 1):  # noqa: B007 - where the last one stands
            left -= char not in " \u00a0-"
            if not left:
                break
        following = match.string[start + length : start + length + 1]
        plain = re.sub("[ \u00a0-]", "", text[:length])
        if left or (following.isalnum() and following.isascii()) or not iban_is_valid(plain):
            return (), start + 4
        return (Span(start, start + length, "ibans"),), start + length

    return Detector(
        name="ibans",
        pattern=re.compile("[A-Z](?<![A-Za-z0-9][A-Z])[A-Z][0-9]{2}(?:[ \u00a0-]?[A-Z0-9]){11,30}"),
        begun=re.compile(
            "(?<![A-Za-z0-9])[A-Z](?:[A-Z](?:[0-9](?:[0-9](?:[ \u00a0-]?[A-Z0-9]){0,30}[ \u00a0-]?)?)?)?\\Z"
        ),
        reach=70,
        trigger="0123456789",
        bud=r"(?<![A-Za-z0-9])[A-Z]{1,2}\Z",
        confirm=confirm,
    )


# ------------------------------------------------------------ cards and telephones: runs of digits

_SEPARATOR = r"[ \u00a0().\-/]"
_RUN = (
    r"[+(0-9](?<![\w.][+(0-9])(?<![0-9a-fA-F]{4}-[+(0-9])"  # first a character, then what stands before it: quicker
    rf"(?:(?<=[0-9])|(?<=[+(])[+(]?[0-9])(?:{_SEPARATOR}{{0,3}}[0-9]){{6,47}}(?!\w)"
)
_RUN_BEGUN = (
    rf"(?<![\w.])(?<![0-9a-fA-F]{{4}}-)[+(]{{0,2}}(?:[0-9](?:{_SEPARATOR}{{0,3}}[0-9]){{0,47}}{_SEPARATOR}{{0,3}})?\Z"
)
_GROUP = re.compile(r"[0-9]+")
_DATE = re.compile(r"(?:[0-9]{4}([-./])[0-9]{1,2}\1[0-9]{1,2}|[0-9]{1,2}([-./])[0-9]{1,2}\2[0-9]{2,4})(?![0-9])")
_PHONE = re.compile(
    r"(?<![0-9.+/-])(?:"
    r"(?P<international>\(?\+[1-9](?:[ \u00a0().\-/]{0,3}[0-9]){6,14})"
    r"|(?<![0-9][ \u00a0])(?:"  # the other forms are no end of a row of numbers
    r"(?P<dialled>00[1-9](?:[ \u00a0().\-/]{0,3}[0-9]){8,13})"
    r"|(?P<american>(?:1[ .-])?(?:\([2-9][0-9]{2}\)[ .-]?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4})"
    r"|(?P<mobile>0(?:1[5-7][0-9]{8,9}|7[0-9]{9}|6[0-9]{8}))"
    r"|(?P<national>\(?0[1-9][0-9]{0,4}\)?(?:[ /\u00a0-]{1,3}[0-9]{2,8}){1,5})"
    r"))(?![0-9])"
)


def luhn_is_valid(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = ord(char) - 48
        if place & 1:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether an issuer's range has numbers of that length, and the check digit is right.

    Visa, Mastercard, American Express, Discover, Diners Club, JCB, UnionPay, Maestro: the ranges that they publish.
    """
    size, two, three, four = len(digits), int(digits[:2]), int(digits[:3]), int(digits[:4])
    issued = (
        (digits[0] == "4" and size in {13, 16, 19})
        or (size == 16 and (51 <= two <= 55 or 2221 <= four <= 2720))
        or (size == 15 and two in {34, 37})
        or (
            16 <= size <= 19 and (four == 6011 or two == 65 or 644 <= three <= 649 or two == 62 or 3528 <= four <= 3589)
        )
        or (14 <= size <= 19 and (300 <= three <= 305 or two in {36, 38, 39}))
        or (12 <= size <= 19 and (two == 50 or 56 <= two <= 58 or two in {63, 67}))
    )
    return issued and len(set(digits)) > 1 and luhn_is_valid(digits)


def numbers(*, cards: bool, phones: bool) -> Detector:
    """Cards and telephone numbers: one look at each run of digits, for both."""

    def confirm(match: re.Match[str]) -> Verdict:
        text, offset = match[0], match.start()
        spans = _cards(text, offset) if cards else []
        if phones and not spans and not (len(text) <= 19 and _DATE.search(text)):
            spans = [
                Span(offset + found.start(), offset + found.end(), "phones")
                for found in _PHONE.finditer(text)
                if _is_phone(found)
            ]
        return tuple(spans), match.end()

    return Detector(
        name="numbers",
        pattern=re.compile(_RUN),
        begun=re.compile(_RUN_BEGUN),
        reach=200,
        trigger="0123456789",
        bud=r"[+(]{1,2}\Z",
        confirm=confirm,
    )


def _cards(text: str, offset: int) -> list[Span]:
    """Neighbouring groups of digits that make up the number of a card: an expiry date may follow it."""
    groups = [(group.start(), group.end()) for group in _GROUP.finditer(text)]
    spans: list[Span] = []
    first = 0
    while first < len(groups):
        digits, taken = "", 0
        for last in range(first, len(groups)):
            start, end = groups[last]
            if last > first and start - groups[last - 1][1] > 1:
                break
            digits += text[start:end]
            if len(digits) > 19:
                break
            if len(digits) >= 12 and is_card(digits):
                taken = last + 1
            if end - start < 3:
                break  # cards are written in groups of three and more, but for the last one
        if taken:
            spans.append(Span(offset + groups[first][0], offset + groups[taken - 1][1], "cards"))
        first = taken or first + 1
    return spans


def _is_phone(found: re.Match[str]) -> bool:
    digits = sum(char.isdigit() for char in found[0])
    if found.lastgroup == "international":
        return 8 <= digits <= 15  # E.164: at most 15
    if found.lastgroup == "national":
        return 9 <= digits <= 12 and not _DATE.match(found[0])
    return True
