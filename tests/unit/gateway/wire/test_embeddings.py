"""Embeddings of OpenAI and Gemini."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.embeddings import (
    read_gemini_answer,
    read_openai_answer,
    read_openai_request,
    write_gemini_request,
    write_openai_answer,
    write_openai_request,
)
from holdfast.gateway.errors import Refused


@pytest.mark.parametrize("given", ["text", ["a", "b"], [1, 2], [[1], [2, 3]]])
def test_every_form_of_input_comes_back_to_a_provider_of_the_same_protocol(given: object) -> None:
    body = {"model": "m", "input": given, "dimensions": 8, "encoding_format": "base64", "user": "u", "new": 1}
    assert write_openai_request(read_openai_request(body), "m").body == body


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [True]}, "input"),
        ({"input": ["a", 1]}, "input.1"),
        ({"input": ["\ud800"]}, "input.0"),
        ({"input": [[1], []]}, "input.1"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"model": None}, "model"),
    ],
)
def test_what_is_wrong_is_refused_by_its_path(change: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as caught:
        read_openai_request({"model": "m", "input": "text", **change})
    assert (caught.value.reason, caught.value.param) == ("invalid_request", param)


def test_gemini_gets_one_request_for_each_text_and_no_tokens() -> None:
    out = write_gemini_request(read_openai_request({"model": "m", "input": ["a", "b"], "dimensions": 8}), "embed")
    assert out.path == "/models/embed:batchEmbedContents"
    assert out.body["requests"][1] == {
        "model": "models/embed",
        "content": {"parts": [{"text": "b"}]},
        "outputDimensionality": 8,
    }
    with pytest.raises(Refused):
        write_gemini_request(read_openai_request({"model": "m", "input": [1]}), "embed")


def test_vectors_are_written_in_the_encoding_that_was_asked_for() -> None:
    embedded = read_gemini_answer({"embeddings": [{"values": [0.5, -1]}]}, "embed")
    asked = read_openai_request({"model": "m", "input": "a", "encoding_format": "base64"})
    written = write_openai_answer(embedded, asked)
    assert struct.unpack("<2f", base64.b64decode(written["data"][0]["embedding"])) == (0.5, -1.0)
    assert read_openai_answer(written).vectors == ([0.5, -1.0],)
    assert written["model"] == "m"


def test_vectors_are_put_in_the_order_of_their_inputs() -> None:
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]
    embedded = read_openai_answer({"data": data, "model": "m", "usage": {"prompt_tokens": 4, "total_tokens": 4}})
    assert embedded.vectors == ([0.0], [1.0])
    assert embedded.usage == Usage(input_tokens=4)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": []},
        {"data": [5]},
        {"data": [{"embedding": []}]},
        {"data": [{"embedding": ["a"]}]},
        {"data": [{"embedding": [float("nan")]}]},
        {"data": [{"embedding": "not base64"}]},
        {"data": [{"embedding": "AAA="}]},
        {"data": [{"index": 7, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
    ],
)
def test_what_is_no_answer_is_a_value_error(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_openai_answer(body)
