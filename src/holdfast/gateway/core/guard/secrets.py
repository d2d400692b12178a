"""Keys that open something: of providers by their prefix, private keys, JSON Web Tokens.

Prefixes and lengths as their issuers publish them, or as their keys look: OpenAI, Anthropic, Google Cloud, AWS (IAM
identifiers), GitHub, GitLab, Slack, Stripe, npm, PyPI, Hugging Face, Groq; our own as ``identity.key`` draws them.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Callable

import msgspec

from holdfast.gateway.core.guard.detector import Detector, Span, Verdict, beginnings

LONGEST_TOKEN = 256
LONGEST_JWT = 6400
LONGEST_PRIVATE_KEY = 20_000

_TOKENS: dict[str, tuple[tuple[str, ...], str]] = {
    "anthropic_key": (("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{20,200}"),
    "openai_key": (("sk-",), r"sk-(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{20,200}"),
    "google_key": (("AIza",), r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    "aws_key_id": (("AKIA", "ASIA"), r"A[KS]IA[A-Z2-7]{16}(?![A-Za-z0-9])"),
    "github_token": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"gh[pousr]_[A-Za-z0-9]{36,200}|github_pat_[A-Za-z0-9_]{60,200}",
    ),
    "gitlab_token": (("glpat-",), r"glpat-[A-Za-z0-9_-]{20,200}"),
    "slack_token": (
        ("xoxa-", "xoxb-", "xoxc-", "xoxd-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"),
        r"xox[a-eoprs]-[A-Za-z0-9-]{10,200}",
    ),
    "stripe_key": (("sk_live_", "rk_live_"), r"[rs]k_live_[A-Za-z0-9]{16,200}"),
    "npm_token": (("npm_",), r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    "pypi_token": (("pypi-AgE",), r"pypi-AgE[A-Za-z0-9_-]{50,240}"),
    "groq_key": (("gsk_",), r"gsk_[A-Za-z0-9]{48,60}(?![A-Za-z0-9])"),
    "holdfast_key": (("hf_",), r"hf_[A-Za-z0-9]{12}_[A-Za-z0-9]{30}(?![A-Za-z0-9])"),
    "hugging_face_token": (("hf_",), r"hf_[A-Za-z0-9]{34,40}(?![A-Za-z0-9])"),
}
_WORDY = re.compile(r"(?:[a-z]+|[A-Z]+|[0-9]{1,4})(?:[-_](?:[a-z]+|[A-Z]+|[0-9]{1,4}))*")
"""A name in kebab or snake case, such as a CSS class; no key looks like that."""

_JWT = r"eyJ[A-Za-z0-9_-]{10,1024}\.[A-Za-z0-9_-]{2,4096}\.[A-Za-z0-9_-]{0,1024}"
_JWT_BEGUN = r"eyJ[A-Za-z0-9_-]{0,1024}(?:\.[A-Za-z0-9_-]{0,4096}(?:\.[A-Za-z0-9_-]{0,1024})?)?"

# The lines of a key are possessive (`?>`, `++`): nothing after them can fail, and nothing is tried twice.
_PEM_HEAD = r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_PEM_LINES = (
    r"(?>(?:\s{0,8}[A-Za-z][A-Za-z-]{1,20}: [A-Za-z0-9,.:-]{1,80}){0,4}+(?:\s{0,8}[A-Za-z0-9+/=]{16,80}){0,200}+)"
)
_PEM = rf"{_PEM_HEAD}{_PEM_LINES}(?:(?:\s{{0,8}}[A-Za-z0-9+/=]{{1,80}})?\s{{0,8}}-----END [A-Z0-9 ]{{1,50}}-----)?"
_PEM_BEGUN = (
    r"-----BEGIN [A-Z0-9 ]{0,60}-{0,5}"
    rf"|{_PEM_HEAD}{_PEM_LINES}\s{{0,8}}[A-Za-z0-9+/=,.:-]{{0,80}} ?[A-Za-z0-9,.:-]{{0,80}}"
    rf"\s{{0,8}}(?:-{{1,5}}|-----E|-----EN|-----END[A-Z0-9 ]{{0,51}}-{{0,5}})?"
)


def detector(is_own_key: Callable[[str], bool] | None = None) -> Detector:
    """The detector.

    Args:
        is_own_key: Whether a text of the form of our keys is one (its check sum); without it the form is enough.
    """
    prefixes = tuple(dict.fromkeys(prefix for group, _ in _TOKENS.values() for prefix in group))
    anchors = (*(prefix for prefix in prefixes if prefix != "sk-ant-"), "eyJ", "-----BEGIN ")
    tokens = "|".join(f"(?P<{name}>{pattern})" for name, (_, pattern) in _TOKENS.items())
    begun = (
        rf"(?<![A-Za-z0-9])(?:(?:{'|'.join(map(re.escape, prefixes))})[A-Za-z0-9_-]{{0,{LONGEST_TOKEN}}}"
        rf"|(?:{beginnings((*prefixes, 'eyJ'))})|{_JWT_BEGUN})\Z"
        rf"|(?:{_PEM_BEGUN}|{beginnings(['-----BEGIN '])})\Z"
    )

    def confirm(match: re.Match[str]) -> Verdict:
        kind, found = match.lastgroup or "", match[0]
        if kind == "jwt":
            sure = _is_jwt(found)
        elif kind == "openai_key":
            sure = len(set(found)) >= 10 and _WORDY.fullmatch(found) is None
        elif kind == "holdfast_key" and is_own_key is not None:
            sure = is_own_key(found)
        else:
            sure = True
        spans = (Span(match.start(), match.end(), f"secrets.{kind}"),) if sure else ()
        return spans, match.end() if sure else match.start() + 3

    return Detector(
        name="secrets",
        pattern=re.compile(rf"(?<![A-Za-z0-9])(?:{tokens}|(?P<jwt>{_JWT}))|(?P<private_key>{_PEM})"),
        begun=re.compile(begun),
        reach=LONGEST_PRIVATE_KEY,
        trigger="-_IJ",
        bud=rf"(?<![A-Za-z0-9])(?:{beginnings((*prefixes, 'eyJ'))})\Z|(?:{beginnings(['-----BEGIN '])})\Z",
        anchors=anchors,
        confirm=confirm,
    )


def _is_jwt(text: str) -> bool:
    """Whether the first part is a JOSE header (RFC 7515, section 4): an object with ``alg``."""
    head = text.partition(".")[0]
    try:
        header = msgspec.json.decode(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (NotBase64, ValueError, msgspec.DecodeError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header
