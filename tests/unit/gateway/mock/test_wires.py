"""What the provider reads of a longer conversation, in each protocol: one text, image, call, result and tool choice."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.gateway.shell.mock.anthropic import AnthropicMessages
from holdfast.gateway.shell.mock.bedrock import BedrockConverse
from holdfast.gateway.shell.mock.gemini import Gemini
from holdfast.gateway.shell.mock.openai import OpenAIChat
from holdfast.gateway.shell.mock.responses import OpenAIResponses
from holdfast.gateway.shell.mock.wire import IMAGE_TOKENS, Wire

SCHEMA = {"type": "object"}
IMAGE = "aGVsbG8="

OPENAI: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "see this"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "blue sky"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "max_tokens": 7,
}
RESPONSES: dict[str, Any] = {
    "instructions": "be brief",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "see this"}, {"type": "input_image"}]},
        {"type": "function_call", "call_id": "a", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "blue sky"},
    ],
    "tools": [{"type": "function", "name": "look", "parameters": SCHEMA}],
    "tool_choice": {"type": "function", "name": "look"},
    "max_output_tokens": 7,
}
ANTHROPIC: dict[str, Any] = {
    "system": [{"type": "text", "text": "be brief"}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "see this"}, {"type": "image", "source": {}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "blue sky"}]},
    ],
    "tools": [{"name": "look", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "look"},
    "max_tokens": 7,
}
GEMINI: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "see this"}, {"inlineData": {"mimeType": "image/png", "data": IMAGE}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"result": "blue sky"}}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "look", "parameters": SCHEMA}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
    "generationConfig": {"maxOutputTokens": 7},
}
BEDROCK: dict[str, Any] = {
    "system": [{"text": "be brief"}],
    "messages": [
        {"role": "user", "content": [{"text": "see this"}, {"image": {"format": "png", "source": {"bytes": IMAGE}}}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "look", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "blue sky"}]}}]},
    ],
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": SCHEMA}}}],
        "toolChoice": {"tool": {"name": "look"}},
    },
    "inferenceConfig": {"maxTokens": 7},
}
ASKED: list[tuple[Wire, dict[str, Any]]] = [
    (OpenAIChat(), OPENAI),
    (OpenAIResponses(), RESPONSES),
    (AnthropicMessages(), ANTHROPIC),
    (Gemini(), GEMINI),
    (BedrockConverse(), BEDROCK),
]


@pytest.mark.parametrize(("wire", "body"), ASKED, ids=lambda value: getattr(value, "name", ""))
def test_a_conversation_is_read_alike_in_every_protocol(wire: Wire, body: dict[str, Any]) -> None:
    asked = wire.read(body, "mock")
    assert (asked.text, asked.tool_result, asked.tools, asked.forced) == ("see this", "blue sky", ["look"], "look")
    assert asked.max_tokens == 7
    words, image = 6, IMAGE_TOKENS
    assert words + image < asked.prompt_tokens < words + image + 60, "words, the image, and some for call and tools"


@pytest.mark.parametrize(
    ("wire", "body", "any_tool"),
    [
        (OpenAIChat(), OPENAI, {"tool_choice": "required"}),
        (OpenAIResponses(), RESPONSES, {"tool_choice": "required"}),
        (AnthropicMessages(), ANTHROPIC, {"tool_choice": {"type": "any"}}),
        (Gemini(), GEMINI, {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
        (BedrockConverse(), BEDROCK, {"toolConfig": BEDROCK["toolConfig"] | {"toolChoice": {"any": {}}}}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_any_tool_may_be_insisted_on(wire: Wire, body: dict[str, Any], any_tool: dict[str, Any]) -> None:
    assert wire.read(body | any_tool, "mock").forced == ""


def test_a_result_that_is_no_text_is_told_as_json() -> None:
    content = {"toolResult": {"toolUseId": "a", "content": [{"json": {"sky": "blue"}}]}}
    asked = BedrockConverse().read({"messages": [{"role": "user", "content": [content]}]}, "mock")
    assert asked.tool_result == '{"sky":"blue"}'
    part = {"functionResponse": {"name": "look", "response": {"sky": "blue", "sea": 1}}}
    asked = Gemini().read({"contents": [{"role": "user", "parts": [part]}]}, "mock")
    assert asked.tool_result == '{"sky":"blue","sea":1}'
