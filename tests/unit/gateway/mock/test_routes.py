"""What a path of the provider means."""

from __future__ import annotations

import pytest

from holdfast.gateway.shell.mock.routes import Route, route


@pytest.mark.parametrize(
    ("method", "target", "found"),
    [
        ("POST", "/v1/chat/completions", Route("openai", "chat")),
        ("POST", "/any/prefix/v1/completions", Route("completions", "chat")),
        ("POST", "/v1/responses", Route("responses", "chat")),
        ("POST", "/v1/messages", Route("anthropic", "chat")),
        ("POST", "/v1/messages/count_tokens", Route("anthropic", "count")),
        ("POST", "/v1/embeddings", Route("openai", "embeddings")),
        ("POST", "/v1/images/generations", Route("openai", "images")),
        ("POST", "/v1/audio/speech", Route("openai", "speech")),
        ("POST", "/v1/audio/transcriptions", Route("openai", "transcriptions")),
        ("GET", "/v1/models", Route("openai", "models")),
        ("GET", "/v1/models/org/name", Route("openai", "model", model="org/name")),
        ("GET", "/v1beta/models?key=k", Route("gemini", "models", key="k")),
        ("POST", "/openai/deployments/gpt/chat/completions?api-version=1", Route("openai", "chat", model="gpt")),
        ("POST", "/v1beta/models/m:generateContent?key=k", Route("gemini", "chat", model="m", key="k")),
        ("POST", "/v1beta/models/m@cut=9:streamGenerateContent?alt=sse", Route("gemini", "chat", "m@cut=9", True)),
        ("POST", "/v1beta/models/m:countTokens", Route("gemini", "count", model="m")),
        ("POST", "/v1beta/models/m:batchEmbedContents", Route("gemini", "embeddings", model="m")),
        ("POST", "/model/a.b-v1%3A0/converse", Route("bedrock", "chat", model="a.b-v1:0")),
        ("POST", "/model/a%2Fb/converse-stream", Route("bedrock", "chat", model="a/b", stream=True)),
        ("POST", "/v1beta/models/m:streamGenerateContent", None),
        ("POST", "/v1beta/models/m:explain", None),
        ("GET", "/v1/chat/completions", None),
        ("PUT", "/v1/chat/completions", None),
        ("POST", "/", None),
    ],
)
def test_paths_and_what_they_mean(method: str, target: str, found: Route | None) -> None:
    assert route(method.encode(), target.encode()) == found
