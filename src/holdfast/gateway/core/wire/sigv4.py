"""AWS Signature Version 4 for requests over HTTP (AWS IAM User Guide, "Create a signed AWS API request")."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, unquote

__all__ = ["Credentials", "canonical_request", "sign"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who signs. The secret and the token show in no representation."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    """Of temporary credentials."""


def sign(
    *,
    method: str,
    host: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    payload: bytes = b"",
    credentials: Credentials,
    region: str,
    service: str = "bedrock",
    at: datetime,
) -> dict[str, str]:
    """Headers to add to a request: ``authorization``, ``x-amz-date``, and ``x-amz-security-token`` with a token.

    Args:
        method: In capitals.
        host: As it stands in the ``host`` header, with the port where it has one.
        path: As it is sent, percent-encoded (:func:`holdfast.gateway.core.wire.bedrock.model_path`).
        query: As it is sent, without the question mark.
        headers: That are signed besides ``host`` and those that are added; give those that no proxy changes.
        payload: The whole body.
        credentials: Who signs.
        region: Such as ``us-east-1``.
        service: Bedrock's runtime signs as ``bedrock``, although its host is called ``bedrock-runtime``.
        at: Aware; AWS refuses what is more than five minutes off.

    Raises:
        ValueError: ``at`` has no time zone.
    """
    if at.tzinfo is None:
        msg = "a signature needs a time with its zone"
        raise ValueError(msg)
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": stamp}
    if credentials.session_token:
        added["x-amz-security-token"] = credentials.session_token
    canonical, signed = canonical_request(
        method=method, path=path, query=query, headers={**(headers or {}), "host": host, **added}, payload=payload
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + credentials.secret_access_key.encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    added["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={signed}, Signature={signature}"
    )
    return added


def canonical_request(
    *, method: str, path: str, query: str, headers: Mapping[str, str], payload: bytes
) -> tuple[str, str]:
    """The form that is signed, and the names of its headers.

    The path is encoded once more than it is on the wire: every service but S3 signs it so.
    """
    lines = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = sorted(lines)
    signed = ";".join(names)
    text = "\n".join(
        (
            method,
            quote(_without_dots(path), safe="/" + _UNRESERVED),
            _canonical_query(query),
            *(f"{name}:{lines[name]}" for name in names),
            "",
            signed,
            sha256(payload).hexdigest(),
        )
    )
    return text, signed


def _canonical_query(query: str) -> str:
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_reencoded(name), _reencoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _reencoded(text: str) -> str:
    return quote(unquote(text), safe=_UNRESERVED)


def _without_dots(path: str) -> str:
    """Without ``.``, ``..`` and empty segments (RFC 3986, 5.2.4, and AWS's test suite for the empty ones)."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    tail = "/" if kept and path.endswith(("/", "/.", "/..")) else ""
    return "/" + "/".join(kept) + tail
