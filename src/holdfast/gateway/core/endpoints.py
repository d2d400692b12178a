"""Which path asks for what, in which protocol.

A base URL may end in ``/v1`` or, for Gemini's clients, ``/v1beta``; official clients append the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from holdfast.gateway.core.conversation import ProtocolName

Kind = Literal["chat", "count", "embeddings", "images", "speech", "transcription", "models", "control"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What a path asks for. ``control`` is everything that is no model's work: keys, usage, sessions, pages."""

    kind: Kind
    protocol: ProtocolName = "openai"
    """Of the client; also of the errors it gets."""
    model: str | None = None
    """From the path (Gemini, and reading one model)."""
    stream: bool | None = None
    """Said by the path (Gemini); otherwise the body says it."""
    method: str = "POST"


_CONTROL: Final = Endpoint(kind="control", method="")
_POSTS: Final[dict[str, Endpoint]] = {
    "/v1/chat/completions": Endpoint(kind="chat"),
    "/v1/responses": Endpoint(kind="chat", protocol="responses"),
    "/v1/completions": Endpoint(kind="chat", protocol="completions"),
    "/v1/messages": Endpoint(kind="chat", protocol="anthropic"),
    "/v1/messages/count_tokens": Endpoint(kind="count", protocol="anthropic"),
    "/v1/embeddings": Endpoint(kind="embeddings"),
    "/v1/images/generations": Endpoint(kind="images"),
    "/v1/audio/speech": Endpoint(kind="speech"),
    "/v1/audio/transcriptions": Endpoint(kind="transcription"),
}
_MODELS: Final = Endpoint(kind="models", method="GET")
_GEMINI: Final = re.compile(r"/v1(?:beta)?/models/(.+):(generateContent|streamGenerateContent|countTokens)")


def endpoint_of(path: str) -> Endpoint:
    """What a path (without its query) asks for. Never fails: what is not a model's work is ``control``."""
    found = _POSTS.get(path)
    if found is not None:
        return found
    if path == "/v1/models":
        return _MODELS
    if path.startswith("/v1/models/") and ":" not in path.rsplit("/", 1)[-1]:
        return Endpoint(kind="models", model=path[len("/v1/models/") :], method="GET")
    match = _GEMINI.fullmatch(path)
    if match is not None:
        verb = match[2]
        return Endpoint(
            kind="count" if verb == "countTokens" else "chat",
            protocol="gemini",
            model=match[1],
            stream=verb == "streamGenerateContent",
        )
    return _CONTROL
