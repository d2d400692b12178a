"""Which protocol and kind a path means. Prefixes are ignored: a provider may live anywhere."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote


class Route(NamedTuple):
    """What a path asks for."""

    protocol: str
    kind: str
    model: str = ""
    """When the path names it."""
    stream: bool = False
    key: str = ""
    """When the query names it."""


_BY_END: Final = {
    "chat/completions": ("openai", "chat"),
    "messages/count_tokens": ("anthropic", "count"),
    "images/generations": ("openai", "images"),
    "audio/speech": ("openai", "speech"),
    "audio/transcriptions": ("openai", "transcriptions"),
    "responses": ("responses", "chat"),
    "completions": ("completions", "chat"),
    "embeddings": ("openai", "embeddings"),
    "messages": ("anthropic", "chat"),
}
_GEMINI: Final = {
    "generateContent": ("chat", False),
    "streamGenerateContent": ("chat", True),
    "countTokens": ("count", False),
    "batchEmbedContents": ("embeddings", False),
    "embedContent": ("embedding", False),
}


@lru_cache(maxsize=1024)
def route(method: bytes, target: bytes) -> Route | None:
    """The route of a request line; ``None`` when there is none."""
    path, _, query = target.decode("ascii").partition("?")
    segments = [unquote(segment) for segment in path.strip("/").split("/")]
    options = parse_qs(query)
    key = (options.get("key") or [""])[0]
    last = segments[-1]
    if method == b"GET":
        protocol = "gemini" if any(segment.startswith("v1beta") for segment in segments) else "openai"
        if last == "models":
            return Route(protocol, "models", key=key)
        if "models" in segments[:-1]:
            return Route(protocol, "model", model="/".join(segments[segments.index("models") + 1 :]), key=key)
        return None
    if method != b"POST":
        return None
    if ":" in last and "models" in segments:
        name, _, verb = last.rpartition(":")
        # Without alt=sse Gemini streams a JSON array, which nobody reads as it comes.
        if verb in _GEMINI and (verb != "streamGenerateContent" or options.get("alt") == ["sse"]):
            kind, stream = _GEMINI[verb]
            return Route("gemini", kind, model=name, stream=stream, key=key)
    if len(segments) >= 3 and segments[-3] == "model" and last in ("converse", "converse-stream"):
        return Route("bedrock", "chat", model=segments[-2], stream=last == "converse-stream")
    # Azure names the deployment in the path.
    model = segments[segments.index("deployments") + 1] if "deployments" in segments[:-1] else ""
    found = _BY_END.get("/".join(segments[-2:])) or _BY_END.get(last)
    return Route(*found, model=model, key=key) if found is not None else None
