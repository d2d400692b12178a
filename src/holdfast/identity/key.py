"""The text of an API key. Pure, except that a new one is drawn from the system's source of chance.

    key    = "hf_" id "_" secret check
    id     = 12 base62     names the key; may be logged and shown
    secret = 24 base62     142 bits, uniformly drawn
    check  =  6 base62     CRC-32 of everything before it

The check tells a mistyped or cut-off key from a wrong one without asking the store, and lets a
secret scanner be sure of a find: ``hf_[0-9A-Za-z]{12}_[0-9A-Za-z]{30}`` and then :func:`parse`.
It protects nothing: whoever forges a key can compute it. (The idea is that of GitHub's tokens,
https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/.)

What is stored is the SHA-256 of the whole text. A slow hash would defend secrets that people
choose, because those can be guessed; against 142 random bits there is nothing to try out, and a
slow hash in front of every request would be a way to overload the service.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from zlib import crc32

PREFIX: Final = "hf_"
ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_LENGTH: Final = 12
SECRET_LENGTH: Final = 24
_CHECK_LENGTH: Final = 6  # 62 ** 6 > 2 ** 32
KEY_LENGTH: Final = len(PREFIX) + ID_LENGTH + 1 + SECRET_LENGTH + _CHECK_LENGTH
_KEY: Final = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH + _CHECK_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A well-formed key, which may still be nobody's."""

    id: str
    digest: bytes = field(repr=False)
    """What the store knows it by."""


def new_key() -> str:
    """Draw a key. The only time that its text exists on our side."""
    body = f"{PREFIX}{_draw(ID_LENGTH)}_{_draw(SECRET_LENGTH)}"
    return body + _check(body)


def parse(text: str) -> PresentedKey | None:
    """Read a key; ``None`` when it is not one: another format, mistyped, cut off."""
    match = _KEY.fullmatch(text)
    if match is None or _check(text[:-_CHECK_LENGTH]) != text[-_CHECK_LENGTH:]:
        return None
    return PresentedKey(match[1], sha256(text.encode("ascii")).digest())


def _draw(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _check(body: str) -> str:
    number, digits = crc32(body.encode("ascii")), ""
    for _ in range(_CHECK_LENGTH):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits
