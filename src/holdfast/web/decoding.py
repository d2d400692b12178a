"""Bodies to structs, and what the decoder says about a wrong one as a problem."""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from holdfast.web.problems import ProblemError

T = TypeVar("T")
_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)


def decode_json(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Raises :class:`ProblemError`."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as wrong:
        raise invalid(str(wrong)) from None
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise ProblemError("malformed-request", f"the body is not JSON: {wrong}") from None


def too_deep() -> ProblemError:
    """For JSON that goes deeper than the interpreter's stack, some hundred levels."""
    return ProblemError("malformed-request", "the body is nested too deeply")


def invalid(message: str) -> ProblemError:
    """The problem behind a message of the decoder, which ends in ``- at `$.files[2].path```."""
    match = _AT.match(message)
    return invalid_at(None, message) if match is None else invalid_at(match["path"], match["what"])


def invalid_at(path: str | None, what: str) -> ProblemError:
    """The problem of the value at ``path``; of the whole body without one."""
    what = what[:1].lower() + what[1:]
    return ProblemError("invalid-request", f"{path}: {what}" if path else what, field=path or None)
