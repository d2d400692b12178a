"""Scored signs of an attempt to instruct the model past its operator.

Heuristics, not proof: they catch what is copied from lists of known attacks, and cost next to nothing on innocent
text. Each rule has a weight; rules add up as independent doubts do, ``1 - (1-a)(1-b)...``, so the score stays below 1
and no rule counts twice. Whoever has to be sure puts a model behind them, or gives tools no dangerous scopes.

Text is read as a model reads it: NFKC (Unicode Standard Annex 15), without invisible characters, with letters of
other alphabets that look Latin taken as Latin where they stand among Latin ones, and with base64 that decodes to text
read as well.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass

LONGEST_TEXT = 262_144
"""Characters that are looked at: half of them from the beginning, half from the end, where attacks stand."""
_LONGEST_DECODED = 4096

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
_TAGS = re.compile("[\U000e0020-\U000e007e]{4,}")
"""Unicode tags: ASCII that no human sees and that models read (the \"ASCII smuggler\")."""
_LOOKALIKES = str.maketrans("аеорсухіјѕһԁԛԝᴀοαεικνρτυχγ", "aeopcyxijshdqwaoaeikvptuxy")
"""Cyrillic and Greek small letters that look Latin; the common ones of Unicode Technical Standard 39."""
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{24,5460}={0,2}")

_GAP = r"(?:\W{1,3}\w{1,14}){0,4}?\W{1,3}"
_INSTRUCTIONS = (
    r"(?:instructions?|prompts?|rules|directions?|guidelines|commands?|directives|context|programming|training)"
)
_EARLIER = r"(?:previous|prior|above|earlier|preceding|all|any|your|existing|initial|original)"


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    weight: float
    hints: tuple[str, ...]
    """One of these is in every match: most texts are done with them. (An underscore is a space.)"""
    pattern: re.Pattern[str]


def _rule(name: str, weight: float, hints: str, pattern: str) -> _Rule:
    return _Rule(name, weight, tuple(hint.replace("_", " ") for hint in hints.split()), re.compile(pattern))


_RULES = (
    _rule(
        "override",
        0.75,
        "ignor disregard forget overrid bypass",
        rf"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget|override"
        rf"|bypass)\b{_GAP}{_EARLIER}\b{_GAP}{_INSTRUCTIONS}\b",
    ),
    _rule(
        "override",
        0.75,
        "ignor vergiss missacht",
        r"\b(?:ignorier\w{0,3}|vergiss|missachte\w?)\b(?:\W{1,3}\w{1,14}){0,4}?\W{1,3}"
        r"(?:anweisung\w{0,3}|befehl\w?|regeln|vorgaben|instruktion\w{0,2}|anleitung\w{0,2}|prompts?)\b",
    ),
    _rule(
        "override",
        0.75,
        "ignor oubli olvid dimentica esque",
        r"\b(?:ignor\w{0,4}|oubli\w{0,3}|olvid\w{0,4}|dimentica\w{0,2}"
        r"|esque[cç]\w{0,3})\b(?:\W{1,3}\w{1,14}){0,4}?\W{1,3}"
        r"(?:instruc\w{2,8}|instru[çc][õo]es|consignes|r[eè]gles|reglas|regras|[óo]rdenes|istruzioni|regole)\b",
    ),
    _rule(
        "override",
        0.75,
        "игнор забуд 忽略 无视 無視 무시",
        r"(?:игнорир\w{1,4}|забудь\w{0,2})(?:\W{1,3}\w{1,14}){0,4}?\W{1,3}(?:инструкци\w{1,3}|указани\w{1,3}"
        r"|правил\w{0,2})"
        r"|(?:忽略|无视|無視)[^。\n]{0,12}(?:指令|指示|提示|规则|說明|说明)|(?:指示|命令|ルール)[^。\n]{0,8}無視|지시[^.\n]{0,12}무시",
    ),
    _rule(
        "reveal",
        0.55,
        "prompt instructions system_message",
        r"\b(?:reveal|print|show|repeat|output|display|tell me|leak|dump|give me|what (?:is|are)|zeig\w{0,2}"
        r"|nenne|verrate?|gib)\b"
        r"(?:\W{1,3}\w{1,14}){0,5}?\W{1,3}(?:system ?prompt|system message|initial prompt|hidden prompt"
        r"|your (?:\w{1,12} )?(?:instructions|prompt))\b",
    ),
    _rule(
        "new_role",
        0.5,
        "you_are_now act_as pretend from_now_on play_as bist",
        r"\b(?:you are now|from now on,? you|act as|pretend (?:to be|you are|that you)|role-?play as"
        r"|du bist jetzt|ab jetzt bist du)\b"
        r"[^.\n]{0,60}\b(?:dan|jailbroken|unrestricted|unfiltered|uncensored|without (?:any )?(?:rules"
        r"|restrictions|filters|limits)"
        r"|no (?:rules|restrictions|filters|limits)|evil|root|developer mode|admin\w{0,8}|ohne (?:regeln"
        r"|einschränkungen))\b",
    ),
    _rule(
        "jailbreak",
        0.6,
        "anything_now _mode",
        r"\b(?:do anything now|(?:developer|dan|god|sudo) mode (?:enabled|on|activated)|jailbreak(?:ed)? mode"
        r"|(?:enable|activate|enter) (?:developer|dan|god|jailbreak|sudo) mode)\b",
    ),
    _rule(
        "role_markers",
        0.6,
        "<| inst] <<sys ##",
        r"<\|(?:im_start|im_end|system|start_header_id|endoftext)\|?>?|\[/?inst\]|<</?sys>>|(?:^"
        r"|\n)#{2,4} ?(?:system|instruction)s?:?(?:\n|$)",
    ),
    _rule(
        "role_lines",
        0.45,
        "system: assistant:",
        r"(?:^|\n)\s{0,8}(?:system|assistant)\s?:\s?(?:you|ignore|from|new|override|the user|do)\b",
    ),
    _rule(
        "conceal",
        0.45,
        "not_ n't_ never_ without_",
        r"\b(?:(?:do not|don't|never) (?:tell|mention|inform|reveal|say)|without (?:telling|informing"
        r"|mentioning))\b(?:\W{1,3}\w{1,14}){0,3}?\W{1,3}"
        r"(?:user|human|anyone|operator|developer|customer)\b",
    ),
    _rule(
        "exfiltrate",
        0.5,
        "http",
        r"\b(?:send|post|forward|upload|exfiltrate|append|transmit|encode)\b[^.\n]{0,80}"
        r"\b(?:conversation|chat history|secrets?|api keys?|passwords?|credentials|system prompt|messages?"
        r"|history|tokens?)\b[^.\n]{0,60}https?://",
    ),
    _rule(
        "authority",
        0.4,
        "instructions end_of",
        r"\b(?:new|important|updated|real|actual|secret) instructions?\s?(?:from|:|for (?:you|the (?:ai"
        r"|assistant|model)))"
        r"|\bend of (?:the )?(?:user|system|tool|document|untrusted) (?:input|message|prompt|output|content"
        r"|data)\b",
    ),
)
_HIDDEN_WEIGHT = 0.6
_ENCODED_WEIGHT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """How much a text looks like an injection, and why."""

    score: float
    """From 0 to 1."""
    rules: tuple[str, ...]


INNOCENT = Suspicion(score=0.0, rules=())


def suspicion(text: str) -> Suspicion:
    """Score one text."""
    if len(text) > LONGEST_TEXT:
        half = LONGEST_TEXT // 2
        text = f"{text[:half]}\n{text[-half:]}"
    weights: dict[str, float] = {}
    plain = text
    if not text.isascii():
        hidden = "".join(chr(ord(char) - 0xE0000) for tag in _TAGS.findall(text) for char in tag)
        if hidden:
            weights["hidden_text"] = _HIDDEN_WEIGHT
        plain = readable(text) + ("\n" + hidden if hidden else "")
    plain = plain.lower()
    _match(plain, weights)
    for decoded in _decoded(text):
        found: dict[str, float] = {}
        _match(readable(decoded).lower(), found)
        if found:
            weights["encoded"] = _ENCODED_WEIGHT
            weights |= {rule: max(weight, weights.get(rule, 0.0)) for rule, weight in found.items()}
    if not weights:
        return INNOCENT
    doubt = 1.0
    for weight in weights.values():
        doubt *= 1.0 - weight
    return Suspicion(score=round(1.0 - doubt, 3), rules=tuple(sorted(weights)))


def readable(text: str) -> str:
    """The text as a model reads it."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    if not text.isascii() and re.search("[A-Za-z]", text):
        lookalike = text.translate(_LOOKALIKES)
        # A word that becomes Latin as a whole was disguised, or is a short one of its own language, which hurts nobody.
        text = re.sub(r"\w+", lambda word: _latin(word[0], lookalike[word.start() : word.end()]), text)
    return text


def _latin(word: str, lookalike: str) -> str:
    return lookalike if lookalike.isascii() else word


_HINTS = tuple(dict.fromkeys(hint for rule in _RULES for hint in rule.hints if hint.isascii()))
_ALL_HINTS = tuple(dict.fromkeys(hint for rule in _RULES for hint in rule.hints))


def _match(plain: str, weights: dict[str, float]) -> None:
    hints = {hint for hint in (_HINTS if plain.isascii() else _ALL_HINTS) if hint in plain}
    if not hints:
        return
    for rule in _RULES:
        if hints.isdisjoint(rule.hints) or weights.get(rule.name, 0.0) >= rule.weight:
            continue
        if rule.pattern.search(plain):
            weights[rule.name] = rule.weight


def _decoded(text: str) -> list[str]:
    """Base64 in a text that is text itself, at most 16 pieces of it."""
    found: list[str] = []
    if max(map(len, text.split()), default=0) < 24:
        return found
    for match in _BASE64.finditer(text):
        piece = match[0].rstrip("=")
        try:
            words = b64decode(piece + "=" * (-len(piece) % 4)).decode()
        except (NotBase64, ValueError):
            continue
        if " " in words and sum(map(str.isprintable, words)) >= 0.9 * len(words):
            found.append(words[:_LONGEST_DECODED])
            if len(found) == 16:
                break
    return found
