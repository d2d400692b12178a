"""Numbers that somebody typed, told from those that are names.

A figure that was typed is not held by anything: the drill is run again and the text stays. So every numeral of a text
is a fault unless it is

==================  ==================================================================================================
a date              ``2026-11-22``, ``2026-11-22T14:03Z``, ``22 November 2026``, ``November 22, 2026``,
                    ``November 2026``
a version           ``v2.6``, ``2.6.12`` (three parts or more), ``HTTP/1.1``; after the name of a program or protocol
                    also ``Python 3.11`` and ``TLS 1.3``, unless a word follows that it could count
a name              letters first: ``p99``, ``EC2``, ``IPv4``, ``cgroup v2``; ``SHA-256``, ``UTF-8``, ``us-east-1``,
                    ``x86-64``, ``5xx``, ``95th percentile``
a numbered text     ``RFC 2439``, ``ISO 8601``, ``PEP 703``, ``ADR 12``, ``section 4.2``, ``step 3``, ``layer 7``
a status code       ``HTTP 503``, ``status 503``, ``503 Service Unavailable``; only codes that are registered
==================  ==================================================================================================

Number words are prose up to twelve (``two backends``), as long as they measure nothing: followed by a unit or percent
(``two seconds``), as a ratio (``ten times faster``, ``twice as fast``, ``tenfold``, ``half of the``, ``a third of``,
``one in ten``), as a rate (``two pages a day``) or as ``zero`` (``zero errors``; ``to zero`` is a direction) they are
figures. Greater ones (``forty``, ``a hundred``) always are; ``hundreds of`` is not a number.

Every character that Unicode calls a number counts: ``٤٢``, ``½``, ``²``, ``Ⅻ``; Roman numerals and those of Chinese and
Japanese do where they measure (``XLII errors``, ``四十``). What no reader sees does not hide a word: markup within it
(``for**ty**``), soft hyphens, spaces without width.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Final

NUMBER_REMEDY: Final = "take it from a record, {ev:drill.metric}, or name where it is from, {fact: value, source}"

BREAK: Final = "\u2063"
"""An invisible separator: stands where markup begins or ends, so that what it splits is not read as one word."""
_G: Final = rf"[\s{BREAK}]*"
_GAP: Final = rf"[\s{BREAK}]+"
_HYPHENED: Final = rf"[\s{BREAK}-]+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeral:
    """A number that was typed."""

    start: int
    """Offset in the text."""
    text: str


_MONTHS: Final = (
    "January|February|March|April|May|June|July|August|September|October|November|December"
    "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)
_UNITS: Final = (
    "ns|µs|μs|us|ms|s|sec|secs|min|mins|h|hrs?|d"
    "|(?:nano|micro|milli)?seconds?|minutes?|hours?|percent|per cent|percentage points?|pp"
    "|[kKMGTP]i?B(?:/s)?|[kKMGT]?bit/s|B|bytes?|(?:kilo|mega|giga|tera)bytes?|bits?"
    "|USD|EUR|GBP|dollars?|euros?|cents?|cores?|vCPUs?|[kMG]?Hz|rps|qps|k|x|times|tokens?|requests?|errors?"
)
_LONG_UNITS: Final = "days?|weeks?|months?|years?"
_NOT_COUNTED: Final = (
    rf"(?={_G}(?:[.,;:!?)\]}}\"'”’…—–/-](?!\d)|$|\ufffc)"
    rf"|{_GAP}(?:and|or|on|in|with|is|are|was|has|had|to|from|for|of|at|by|as|the|a|an|it|its|that|which|when|while|if"
    r"|but|than|then|does|do|did|can|will|would|says|say|alone|only|itself|without|because|so|not|this|these|we|you|they|where"
    r"|under|over|before|after|until|since|through|behind|beside|onwards?|up|or newer|later)\b)"
)
"""After this a number names something: what follows is nothing that it could count."""
_L: Final = r"(?<![\w.,])"
_R: Final = r"(?![\w%‰°])(?!\.\w)(?!,\d)"
_NOT_MEASURED: Final = rf"(?!{_HYPHENED}(?:{_UNITS}|{_LONG_UNITS})\b)(?!{_G}[%‰°])"

_PROGRAMS: Final = (
    "Python|CPython|PyPy|HTTP|TLS|SSL|Linux|Ubuntu|Alpine|kernel|version|release|Go|Rust|glibc|OpenSSL|OpenAPI|RSS|Atom"
    "|JSON Feed|Kubernetes|uvloop|Apache|CommonMark|WCAG|CSS|HTML|Unicode|ACM"
)
"""What is known by versions of two parts. Not here: what drills compare, since ``nginx 1.02`` may be a result."""
_WHOLE: Final = "Debian|Fedora|OpenJDK|Node|Node\\.js|GCC|ECMAScript|HTML"
"""What is known by versions of one part."""
_NUMBERED: Final = "sections?|§|steps?|figures?|tables?|chapters?|parts?|appendix|listing|example|footnote|rules?"
_CODES: Final = "|".join(str(status.value) for status in HTTPStatus)
_PHRASED: Final = "|".join(f"{status.value} {re.escape(status.phrase)}" for status in HTTPStatus)


def _valid_iso(match: re.Match[str]) -> bool:
    try:
        dt.date.fromisoformat(match["date"])
    except ValueError:
        return False
    return match["hour"] is None or (int(match["hour"]) < 25 and int(match["minute"]) < 60)


def _valid_day(match: re.Match[str]) -> bool:
    day = next((match[name] for name in ("day", "day2") if match[name]), "1")
    return 1 <= int(day) <= 31


def _no_grouping(match: re.Match[str]) -> bool:
    """``2.6.12`` is a version, ``1.234.567`` a number as half of Europe writes it."""
    return not all(len(part) == 3 for part in match["parts"].split(".")[1:])


_JUDGED: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]], ...]] = (
    (
        re.compile(
            rf"{_L}(?P<date>\d{{4}}-\d\d-\d\d)(?:[T ](?P<hour>\d\d):(?P<minute>\d\d)(?::\d\d(?:\.\d+)?)?"
            rf"(?:Z| ?UTC|[+-]\d\d:\d\d)?)?{_R}",
            re.ASCII,
        ),
        _valid_iso,
    ),
    (
        re.compile(
            rf"{_L}(?:(?P<day>\d{{1,2}}){_GAP})?\b(?:{_MONTHS})\.?{_GAP}(?:(?P<day2>\d{{1,2}}),{_GAP})?"
            rf"(?:19|20)\d\d{_R}{_NOT_MEASURED}",
            re.ASCII,
        ),
        _valid_day,
    ),
    (
        re.compile(
            rf"{_L}(?P<parts>\d{{1,5}}(?:\.\d{{1,6}}){{2,3}})(?:-[a-z]\w*|/\d{{1,2}}|:\d{{2,5}})?{_R}{_NOT_MEASURED}",
            re.ASCII,
        ),
        _no_grouping,
    ),
)
"""Forms that have wrong instances: the 45th of a month, a number grouped by points."""

_FORMS: Final = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        # versions
        rf"(?<!\w)v\d{{1,4}}(?:\.\d{{1,6}})*(?:-[a-z]\w*(?:\.\w+)*)?{_R}{_NOT_MEASURED}",
        rf"(?<!\w)(?:HTTPS?|TLS|SSL|QUIC|SPDY)/\d(?:\.\d)?{_R}",
        (
            rf"(?<!\w)(?:(?:{_PROGRAMS}){_GAP}\d{{1,3}}\.\d{{1,3}}|(?:{_WHOLE}){_GAP}\d\d?)(?![\w%])(?!\.\d)(?!,\d)"
            rf"{_NOT_COUNTED}"
        ),
        # names
        rf"(?<!\w)[pP](?:50|75|90|95|99|999|9999|99\.9|99\.99|100){_R}",
        rf"{_L}\d\d(?:\.\d+)?th{_HYPHENED}percentiles?\b",
        rf"(?<![\w-])(?:SHA3?|UTF|AES|ISO|IEC|RSA|CVE|ADR|RFC|PEP|GPT|BCP|KB|MD|Apache|A?L?GPL|MPL|BSD|EPL)-\d+(?:[.-]\d+)*[a-z]?{_R}",
        r"(?<![\w-])[a-z]{2}(?:-gov|-iso[a-z]?)?-(?:north|south|east|west|central)+-\d[a-z]?(?![\w-])",
        rf"(?<!\w)(?:x86(?:[-_]64)?|X11|X\.509|C\+\+(?:98|03|11|14|17|20|23)){_R}",
        rf"{_L}[1-5]xx{_R}",
        rf"(?<!\w)[a-z]\w{{1,3}}\.(?:\d{{0,2}}x)?(?:nano|micro|small|medium|large){_R}",
        # numbered texts
        rf"(?<!\w)(?:RFCs?|ISO|IEC|PEP|ADR|BCP|STD){_GAP}\d{{1,5}}(?:[-:.]\d+)*{_R}{_NOT_MEASURED}",
        rf"(?<!\w)[Ll]ayers?{_GAP}[1-7]{_R}{_NOT_MEASURED}",
        rf"(?<!\w)(?i:{_NUMBERED}){_G}\d{{1,2}}(?:\.\d{{1,2}})*(?![\w%])(?!\.\d)(?!,\d){_NOT_COUNTED}",
        # status codes
        rf"{_L}(?:{_PHRASED}){_R}",
        (
            rf"(?<!\w)(?:HTTP|[Ss]tatus(?:{_GAP}codes?)?){_GAP}(?:{_CODES})(?:(?:,|{_GAP}or|{_GAP}and){_GAP}(?:{_CODES}))*"
            rf"{_R}(?!{_HYPHENED}(?:ms|s|seconds?|percent|times|requests?|bytes?|[kMG]i?B)\b)"
        ),
    )
)
_COUNTED: Final = (
    "errors?|requests?|tokens?|times|seconds?|minutes?|hours?|days?|weeks?|months?|years?|percent|bytes?|cores|latency"
    "|dollars?|euros?|cents?"
)
"""In front of a number they are no name: ``errors42``."""
_MEASURES: Final = (
    "ns|µs|μs|us|ms|secs?|mins?|hrs?|(?:nano|micro|milli)?seconds?|minutes?|hours?|days?|weeks?|months?|years?|percent"
    "|[kKMGTP]i?B|bytes?|(?:kilo|mega|giga|tera)bytes?|USD|EUR|GBP|dollars?|euros?|cents?|times"
)
_LATIN: Final = "A-Za-z\u00c0-\u024f_"
_NAME: Final = re.compile(
    rf"(?<![{_LATIN}0-9])(?![xX]\d)(?!(?i:usd|eur|gbp|chf|jpy|us|rs|kr|{_COUNTED})\d)"
    rf"(?!v\d+{_HYPHENED}(?:{_MEASURES})\b)"
    rf"(?![{_LATIN}]+\d+(?:ms|us|µs|ns|secs?|mins?|hrs?|[kMGT]i?B|[kMG]?Hz|rps|qps|percent|times)(?![{_LATIN}0-9]))"
    rf"(?:[{_LATIN}][{_LATIN}0-9]*_)?[{_LATIN}]{{1,10}}[0-9][{_LATIN}0-9]*+(?!{_G}[%‰])"
)
"""Latin letters first, digits after: a name, unless the letters are a currency, a multiplication sign or what is
counted, or a unit or percent sign follows. Scripts that are written without spaces put their words before numbers."""
_COMPANY: Final = re.compile(rf"(?<![\w.,-])(?!\d+(?:{_UNITS})\b)\d{{1,3}}[^\W\d_]{{3,}}(?!\w)")
_DIGITS: Final = re.compile(r"\d")
_PLAIN: Final = re.compile("[\x00-\x7f\u2010-\u201f\u2063\ue000-\uf8ff\ufffc]+")
"""Characters that are no numbers, digits aside, and that most texts are made of."""

_SMALL: Final = "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_TEENS: Final = (
    "thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fourty|fifty|sixty|seventy|eighty"
    "|ninety"
)
_GREAT: Final = "hundred|thousand|million|billion|trillion|dozen"
_PARTS: Final = "thirds?|quarters?|fourths?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|hundredths?"
_MORE: Final = (
    "as|more|less|fewer|faster|slower|higher|lower|larger|smaller|longer|shorter|cheaper|better|worse|the|that"
)
_PERIODS: Final = "second|minute|hour|day|week|month|year"
_BETWEEN: Final = r"(?:after|and|for|in|is|of|than|within)\b"
"""``two pages a day`` is a rate, ``one fails for a second`` is not."""
_NO_UNIT: Final = r"(?!(?<=one )errors?\b|(?:times|x|k|s|h|d|cores?|tokens?|requests?)\b)"
"""What a small word may count in prose: ``two cores``, ``one request``."""
_WORDS: Final = re.compile(
    rf"(?<![\w-])(?:"
    rf"(?:an?{_GAP}|(?:{_SMALL}|{_TEENS}){_HYPHENED}){{0,3}}(?:(?:{_TEENS})(?:{_SMALL})?|(?:{_SMALL})?(?:{_GREAT}))(?!\w)"
    rf"(?:{_HYPHENED}(?:{_SMALL}|{_GREAT})\b){{0,3}}"
    rf"(?:{_HYPHENED}(?:{_UNITS})\b)?"
    rf"|(?:{_SMALL}|{_TEENS}|{_GREAT}|two|many)-?fold\b(?<!manyfold)"
    rf"|(?:{_SMALL}){_GAP}point{_GAP}(?:{_SMALL})\b"
    rf"|(?:{_SMALL}){_HYPHENED}(?:{_PARTS})\b"
    rf"|(?:{_SMALL}){_GAP}times{_GAP}(?:{_MORE})\b"
    rf"|(?:{_SMALL}|half{_GAP}an?|an?{_GAP}half){_HYPHENED}{_NO_UNIT}"
    rf"(?:{_UNITS})\b"
    rf"|(?:{_SMALL.replace('one|', '')}){_HYPHENED}(?:{_LONG_UNITS})\b"
    rf"|(?:{_SMALL}){_GAP}(?:in|out{_GAP}of){_GAP}(?:{_SMALL})\b"
    rf"|(?:{_SMALL}|twice)(?:{_GAP}(?!{_BETWEEN})[^\W\d]+){{0,2}}{_GAP}(?:per|an?){_GAP}(?:{_PERIODS})\b"
    rf"|(?:{_SMALL.replace('one|', '')})(?:{_GAP}[^\W\d]+){{1,2}}{_GAP}per{_GAP}\w+"
    rf"|(?:twice|thrice|half){_GAP}as{_GAP}\w+"
    rf"|half{_GAP}of\b"
    rf"|an?{_GAP}(?:third|quarter|fifth|sixth|tenth|hundredth){_GAP}of\b"
    rf"|(?<!to )(?<!from )(?<!at )zero\b(?!-)"
    rf")",
    re.IGNORECASE,
)

_ROMAN: Final = re.compile(rf"(?P<digits>[IVXL]{{2,}}){_HYPHENED}(?:{_UNITS}|{_LONG_UNITS})\b")
_BELOW_A_HUNDRED: Final = re.compile("(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_NO_ROMAN: Final = frozenset({"LI", "LX", "VI", "XL"})
"""Abbreviations that count hours and errors, too. Greater ones are left alone: CI, DC, MIX, XML."""
_HAN: Final = re.compile(
    r"[〇零一二三四五六七八九十百千万亿两][〇零一二三四五六七八九十百千万亿两点]+(?<!万一)(?<!千万)(?<!一一)"
    rf"|[一二三四五六七八九十百千万两](?:\s*(?:{_UNITS})\b|\s*(?:毫秒|微秒|秒|分钟|小时|天|倍|个百分点|次|個|個月|%))"
)
_UNSEEN: Final = re.compile(f"[{BREAK}\u00ad\u180e\u200b-\u200f\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]")
"""What takes no room: marks of this module, soft hyphens, joiners and spaces without width, marks of direction."""
_WORDED: Final = re.compile(r"[^\W\d_]+(?: [^\W\d_]+)*")

_LETTERS: Final = re.compile("[a-z]+")
_TRIGGERS: Final = (
    frozenset(
        word
        for first in (f"{_SMALL}|{_TEENS}|{_GREAT}|many".split("|"))
        for word in (first, f"{first}s", f"{first}fold", f"{first}percent")
    )
    | {
        f"{first}{second}"
        for firsts, seconds in ((_TEENS, _SMALL), (_SMALL, _GREAT))
        for first in firsts.split("|")
        for second in seconds.split("|")
    }
    | {"half", "once", "twice", "thrice", "third", "quarter", "fifth", "sixth", "tenth", "hundredth"}
)
"""Without one of these words there is no number in words; most texts have none."""


def typed(text: str, *, names: bool = False) -> list[Numeral]:
    """Numbers of a plain text that are of no allowed kind, in order.

    Stand-ins of references and ``U+FFFC`` (something that is no text) are passed over. ``names``: the text is a list of
    names, in which digits may come first (``37signals``).
    """
    found = []
    if _has_number(text):
        masked = _masked(text, names=names)
        found = [Numeral(start=start, text=word) for start, word in _left(text, masked)]
    found += [Numeral(start=start, text=_shown(word)) for start, word in _figures(text)]
    if _UNSEEN.search(text) and in_words(shown := _UNSEEN.sub("", text)):
        known = {numeral.start for numeral in found}
        places = [place for place, character in enumerate(text) if not _UNSEEN.match(character)]
        split = [(places[start], word) for start, word in _figures(shown)]
        found += [Numeral(start=start, text=word) for start, word in split if start not in known]
    return sorted(found, key=lambda numeral: numeral.start)


def in_words(text: str) -> bool:
    """Whether a text holds a figure in words."""
    return any(True for _ in _figures(text))


def beside(code: str) -> str:
    """What code between backticks is in the sentence that it stands in: words when it is words."""
    return f"{BREAK}{code}{BREAK}" if _WORDED.fullmatch(code) else "\ufffc"


def _figures(text: str) -> Iterator[tuple[int, str]]:
    """Offsets and texts of figures in words."""
    if not _TRIGGERS.isdisjoint(_LETTERS.findall(text.lower())):
        yield from ((match.start(), match[0]) for match in _WORDS.finditer(text))
    for match in _ROMAN.finditer(text):
        start, digits = match.start(), match["digits"]
        begins = start == 0 or not (text[start - 1].isalnum() or text[start - 1] in "_-")
        if begins and digits not in _NO_ROMAN and _BELOW_A_HUNDRED.fullmatch(digits):
            yield start, match[0]
    if not text.isascii():
        yield from ((match.start(), match[0]) for match in _HAN.finditer(text))


def typed_in_code(text: str) -> bool:
    """Whether code holds a number that is part of no name, date or version: it has to be a quotation then."""
    return _has_number(text) and any(True for _ in _left(text, _masked(text, names=False)))


def without_comment(code: str) -> str:
    """A line of code without what is explained at its end (``# ...``), unless that holds a number itself."""
    before, mark, comment = code.partition(" # ")
    return before.rstrip() if mark and before.strip() and not typed(comment) else code


def status_code(text: str) -> bool:
    """Whether a text is a registered status code of HTTP and nothing else."""
    return re.fullmatch(_CODES, text.strip()) is not None


def _has_number(text: str) -> bool:
    if _DIGITS.search(text) is not None:
        return True
    rest = "" if text.isascii() else _PLAIN.sub("", text)
    return any(unicodedata.category(character)[0] == "N" for character in rest)


def _masked(text: str, *, names: bool) -> str:
    """The text with a NUL for every character of what is allowed."""
    for pattern, judge in _JUDGED:
        text = pattern.sub(partial(_hide_if, judge), text)
    for pattern in _FORMS:
        text = pattern.sub(_hide, text)
    if names:
        text = _COMPANY.sub(_hide, text)
    return _NAME.sub(_hide, text)


def _hide(match: re.Match[str]) -> str:
    return "\x00" * len(match[0])


def _hide_if(judge: Callable[[re.Match[str]], bool], match: re.Match[str]) -> str:
    return _hide(match) if judge(match) else match[0]


def _left(text: str, masked: str) -> list[tuple[int, str]]:
    """Runs of the text around each number that is not masked."""
    found = []
    end = 0
    for at, character in enumerate(masked):
        if at < end or unicodedata.category(character)[0] != "N":
            continue
        end = at + 1
        while end < len(text) and (text[end].isalnum() or (text[end] in ".,:/%" and masked[end] != "\x00")):
            end += 1
        start = at
        while start > 0 and text[start - 1] in "$€£¥~≈-+−" and masked[start - 1] != "\x00":
            start -= 1
        found.append((start, _shown(text[start:end].rstrip(".,:/"))))
    return found


def _shown(text: str) -> str:
    return " ".join(text.replace(BREAK, "").split())
