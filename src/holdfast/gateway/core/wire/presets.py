"""Providers that are known by name: what they speak, where, and how a key is shown to them.

Each address is the one that the source beside it gives. Whatever the configuration says of
a provider takes the place of what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from holdfast.gateway.core.settings import ProviderProtocol

__all__ = ["PRESETS", "Auth", "Preset", "credentials"]

Auth: TypeAlias = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "sigv4", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A known provider."""

    protocol: ProviderProtocol
    url: str | None
    """Base URL without a slash at its end; ``{region}`` stands for the AWS region. ``None``: everyone has their own."""
    auth: Auth
    query: Mapping[str, str] = field(default_factory=dict)
    """Added to each address."""
    responses: bool = False
    """Whether ``/responses`` is spoken there."""
    private: bool = False
    """Whether it runs on this machine or beside it."""
    source: str
    """Where the address is from."""
    note: str = ""


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "openai": Preset(
            protocol="openai",
            url="https://api.openai.com/v1",
            auth="bearer",
            responses=True,
            source="OpenAI, API reference, Introduction",
        ),
        "azure": Preset(
            protocol="openai",
            url=None,
            auth="api-key",
            responses=True,
            source="Microsoft, Azure OpenAI v1 API",
            note=(
                "url: https://RESOURCE.openai.azure.com/openai/v1, where the model is the deployment's name. The older "
                "form is https://RESOURCE.openai.azure.com/openai/deployments/DEPLOYMENT with query: {api-version: ...}"
            ),
        ),
        "anthropic": Preset(
            protocol="anthropic",
            url="https://api.anthropic.com/v1",
            auth="x-api-key",
            source="Anthropic, API overview",
        ),
        "gemini": Preset(
            protocol="gemini",
            url="https://generativelanguage.googleapis.com/v1beta",
            auth="x-goog-api-key",
            source="Google, Gemini API reference",
        ),
        "bedrock": Preset(
            protocol="bedrock",
            url="https://bedrock-runtime.{region}.amazonaws.com",
            auth="sigv4",
            source="AWS, Amazon Bedrock endpoints and quotas",
            note="a Bedrock API key is a bearer token: auth: bearer",
        ),
        "groq": Preset(
            protocol="openai",
            url="https://api.groq.com/openai/v1",
            auth="bearer",
            source="Groq, OpenAI compatibility",
        ),
        "mistral": Preset(
            protocol="openai",
            url="https://api.mistral.ai/v1",
            auth="bearer",
            source="Mistral AI, API specification",
        ),
        "deepseek": Preset(
            protocol="openai",
            url="https://api.deepseek.com/v1",
            auth="bearer",
            source="DeepSeek, Your first API call",
        ),
        "together": Preset(
            protocol="openai",
            url="https://api.together.ai/v1",
            auth="bearer",
            source="Together AI, OpenAI compatibility",
        ),
        "openrouter": Preset(
            protocol="openai",
            url="https://openrouter.ai/api/v1",
            auth="bearer",
            source="OpenRouter, Quickstart",
        ),
        "fireworks": Preset(
            protocol="openai",
            url="https://api.fireworks.ai/inference/v1",
            auth="bearer",
            source="Fireworks AI, OpenAI compatibility",
        ),
        "xai": Preset(
            protocol="openai",
            url="https://api.x.ai/v1",
            auth="bearer",
            source="xAI, REST API reference",
        ),
        "ollama": Preset(
            protocol="openai",
            url="http://127.0.0.1:11434/v1",
            auth="none",
            private=True,
            source="Ollama, OpenAI compatibility",
        ),
        "vllm": Preset(
            protocol="openai",
            url="http://127.0.0.1:8000/v1",
            auth="bearer",
            private=True,
            source="vLLM, OpenAI-compatible server",
            note="a key only where the server was started with --api-key",
        ),
        "lmstudio": Preset(
            protocol="openai",
            url="http://127.0.0.1:1234/v1",
            auth="none",
            private=True,
            source="LM Studio, OpenAI compatibility endpoints",
        ),
        "llamacpp": Preset(
            protocol="openai",
            url="http://127.0.0.1:8080/v1",
            auth="bearer",
            private=True,
            source="llama.cpp, tools/server",
            note="a key only where the server was started with --api-key",
        ),
    }
)
"""By the name that a provider has in the configuration."""

_ANTHROPIC_VERSION = "2023-06-01"
"""The only version that Anthropic has made since (Anthropic, "Versions")."""


def credentials(auth: Auth, key: str | None, *, protocol: ProviderProtocol = "openai") -> dict[str, str]:
    """Headers that show a key to a provider. Without a key, only what the protocol itself demands.

    ``sigv4`` gives none: a signature is over the whole request (:func:`.sigv4.sign`).

    Raises:
        ValueError: The key has a character that no header may have (a line break at the end of a file, mostly). The
            message does not say which.
    """
    headers = {"anthropic-version": _ANTHROPIC_VERSION} if protocol == "anthropic" else {}
    if not key or auth in ("sigv4", "none"):
        return headers
    if not (key.isascii() and key.isprintable()) or " " in key:
        msg = "the key has a character that no header may have: look for a blank or a line break around it"
        raise ValueError(msg)
    if auth == "bearer":
        headers["authorization"] = f"Bearer {key}"
    else:
        headers[auth] = key
    return headers
