"""Who is signed in. The browser holds a random name, the key that it stands for stays here.

- The cookie's value is 256 random bits; the table knows it by its SHA-256, so that not even a
  copy of the table would open a session.
- Every form carries an HMAC of the cookie's value under a secret of this process. A page of
  another site can neither read it nor make one, before signing in as little as afterwards.
- Signing in always begins a session under a new name, so that nobody can plant one.
- The table is bounded: the session that was unused longest makes room.

Sessions live in memory: a restart of the console signs everybody out.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MOST_SESSIONS: Final = 10_000
COOKIE_BYTES: Final = 32
_COOKIE_LENGTH: Final = 2 * COOKIE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who has shown a key."""

    key: str = field(repr=False)
    """The API key, sent to services and to nobody else."""
    name: str
    """What the page calls them."""
    demo: bool = False
    """Signed in with the demo's key, without having asked for it."""


class Sessions:
    """The table. Times are monotonic seconds; ``entropy`` is ``os.urandom``, or a test's."""

    def __init__(self, *, lifetime_s: float, entropy: Callable[[int], bytes], most: int = MOST_SESSIONS) -> None:
        self._lifetime_s = lifetime_s
        self._entropy = entropy
        self._most = most
        self._secret = entropy(32)
        self._sessions: OrderedDict[bytes, tuple[Session, float]] = OrderedDict()

    def new_cookie(self) -> str:
        """A value for a visitor who has none."""
        return self._entropy(COOKIE_BYTES).hex()

    def begin(self, session: Session, now: float) -> str:
        """Start a session; returns the value of its cookie."""
        cookie = self.new_cookie()
        self._sessions[_digest(cookie)] = (session, now + self._lifetime_s)
        while len(self._sessions) > self._most:
            self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str, now: float) -> Session | None:
        """The session of a cookie, which lives on from here; ``None`` when it is none or over."""
        name = _digest(cookie)
        session, expires = self._sessions.get(name, (None, 0.0))
        if session is None:
            return None
        if now >= expires:
            del self._sessions[name]
            return None
        self._sessions[name] = (session, now + self._lifetime_s)
        self._sessions.move_to_end(name)
        return session

    def end(self, cookie: str) -> None:
        """Forget a session."""
        self._sessions.pop(_digest(cookie), None)

    def csrf_token(self, cookie: str) -> str:
        """What a form must carry that is sent together with this cookie."""
        return hmac.new(self._secret, cookie.encode("ascii"), hashlib.sha256).hexdigest()

    def is_csrf_token(self, cookie: str, token: str) -> bool:
        """Whether the form came from a page that was made for this cookie."""
        return hmac.compare_digest(self.csrf_token(cookie).encode(), token.encode())

    def __len__(self) -> int:
        """Sessions that are kept, those that are over but were not asked for included."""
        return len(self._sessions)


def is_cookie(text: str) -> bool:
    """Whether a value could be one of ours; anything else is replaced."""
    return len(text) == _COOKIE_LENGTH and text.isascii() and all(c in "0123456789abcdef" for c in text)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("ascii")).digest()
