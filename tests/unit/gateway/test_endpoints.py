"""What a path asks for."""

from __future__ import annotations

import pytest

from holdfast.gateway.core.endpoints import endpoint_of


@pytest.mark.parametrize(
    ("path", "kind", "protocol"),
    [
        ("/v1/chat/completions", "chat", "openai"),
        ("/v1/responses", "chat", "responses"),
        ("/v1/completions", "chat", "completions"),
        ("/v1/messages", "chat", "anthropic"),
        ("/v1/messages/count_tokens", "count", "anthropic"),
        ("/v1/embeddings", "embeddings", "openai"),
        ("/v1/images/generations", "images", "openai"),
        ("/v1/audio/speech", "speech", "openai"),
        ("/v1/audio/transcriptions", "transcription", "openai"),
        ("/v1/models", "models", "openai"),
        ("/v1beta/models/gemini-2.5-pro:countTokens", "count", "gemini"),
        ("/v1/usage", "control", "openai"),
        ("/", "control", "openai"),
    ],
)
def test_paths_and_what_they_ask_for(path: str, kind: str, protocol: str) -> None:
    found = endpoint_of(path)
    assert (found.kind, found.protocol) == (kind, protocol)


def test_geminis_paths_say_the_model_and_whether_it_streams() -> None:
    found = endpoint_of("/v1beta/models/team/fast:streamGenerateContent")
    assert (found.kind, found.model, found.stream) == ("chat", "team/fast", True)
    assert endpoint_of("/v1/models/fast:generateContent").stream is False


def test_one_model_may_be_read_also_when_its_name_has_a_slash() -> None:
    found = endpoint_of("/v1/models/openai/gpt-4o")
    assert (found.kind, found.model, found.method) == ("models", "openai/gpt-4o", "GET")
