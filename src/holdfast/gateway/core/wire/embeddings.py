"""Embeddings: OpenAI's ``/embeddings`` and Gemini's ``:batchEmbedContents``.

Sources: OpenAI's API reference (embeddings/create); Google's Generative Language API reference (models
batchEmbedContents). Vectors are kept as floats between the two; base64 is little-endian float32, as OpenAI has it.
"""

from __future__ import annotations

import base64
import binascii
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from sys import byteorder
from typing import Any, Literal

from holdfast.gateway.core.dialect import Outgoing
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.fields import integer, malformed, refuse, required, sendable, string, words
from holdfast.gateway.core.wire.openai_usage import believable, read_usage
from holdfast.gateway.errors import Refused

__all__ = [
    "Embedded",
    "Embedding",
    "read_gemini_answer",
    "read_openai_answer",
    "read_openai_request",
    "write_gemini_request",
    "write_openai_answer",
    "write_openai_request",
]

_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "user"})
_INPUTS = 2048
"""Inputs of one request that OpenAI accepts."""
_DIMENSIONS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A request for vectors."""

    model: str
    texts: tuple[str, ...] = ()
    tokens: tuple[tuple[int, ...], ...] = ()
    """Inputs as tokens, instead of texts: they mean something to OpenAI's own models only."""
    single: bool = False
    """The input was not a list of inputs."""
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    user: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that are not among the above, as they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Vectors in the order of the inputs."""

    model: str
    vectors: tuple[Sequence[float], ...]
    usage: Usage | None
    """``None``: the provider did not say (Gemini does not always)."""


def read_openai_request(body: Mapping[str, Any]) -> Embedding:
    """A client's request. Raises :class:`Refused` (``invalid_request`` with ``param``)."""
    given = body.get("input")
    encoding = string(body, "encoding_format") or "float"
    if encoding not in ("float", "base64"):
        refuse("encoding_format", "float or base64 is expected")
    extra = {key: value for key, value in body.items() if key not in _KNOWN and value is not None}
    for key, value in extra.items():
        sendable(value, words(key, "(name of a parameter)"))
    texts: tuple[str, ...] = ()
    tokens: tuple[tuple[int, ...], ...] = ()
    match given:
        case str() if given:
            texts = (words(given, "input"),)
        case [str(), *_] if len(given) <= _INPUTS:
            texts = tuple(words(item, f"input.{position}") for position, item in enumerate(given))
        case [int(), *_]:
            tokens = (_tokens(given, "input"),)
        case [list(), *_] if len(given) <= _INPUTS:
            tokens = tuple(_tokens(item, f"input.{position}") for position, item in enumerate(given))
        case _:
            refuse("input", f"a text, at most {_INPUTS} texts, or tokens are required")
    return Embedding(
        model=required(body, "model"),
        texts=texts,
        tokens=tokens,
        single=isinstance(given, str) or bool(tokens and isinstance(given, list) and not isinstance(given[0], list)),
        dimensions=integer(body, "dimensions", least=1, most=_DIMENSIONS),
        encoding="base64" if encoding == "base64" else "float",
        user=string(body, "user"),
        extra=extra,
    )


def write_openai_request(asked: Embedding, model: str) -> Outgoing:
    """For OpenAI and its likenesses."""
    inputs: list[Any] = [*asked.texts, *map(list, asked.tokens)]
    body: dict[str, Any] = {"model": model, "input": inputs[0] if asked.single else inputs}
    if asked.dimensions is not None:
        body["dimensions"] = asked.dimensions
    if asked.encoding != "float":
        body["encoding_format"] = asked.encoding
    if asked.user is not None:
        body["user"] = asked.user
    return Outgoing(path="/embeddings", body={**asked.extra, **body})


def write_gemini_request(asked: Embedding, model: str) -> Outgoing:
    """For Gemini. Raises :class:`Refused` (``unsupported``) for tokens: they are of another model's vocabulary."""
    if asked.tokens:
        raise Refused("unsupported", "input: tokens of OpenAI's models mean nothing to this provider", param="input")
    name = f"models/{model.removeprefix('models/')}"
    each: dict[str, Any] = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
    requests = [{"model": name, "content": {"parts": [{"text": text}]}, **each} for text in asked.texts]
    dropped = (*(("user",) if asked.user is not None else ()), *asked.extra)
    return Outgoing(path=f"/{name}:batchEmbedContents", body={"requests": requests}, dropped=dropped)


def read_openai_answer(body: Mapping[str, Any]) -> Embedded:
    """Raises :class:`ValueError` for what is not an answer."""
    data = body.get("data")
    if not isinstance(data, list) or not data:
        malformed("an answer without data")
    vectors: dict[int, Sequence[float]] = {}
    for position, item in enumerate(data):
        if not isinstance(item, Mapping):
            malformed("an embedding is an object")
        index = item.get("index", position)
        if type(index) is not int or not 0 <= index < len(data) or index in vectors:
            malformed("an embedding without an index of its own")
        vectors[index] = _vector(item.get("embedding"))
    ordered = tuple(vectors[index] for index in range(len(data)))
    return Embedded(model=str(body.get("model") or ""), vectors=ordered, usage=read_usage(body.get("usage")))


def read_gemini_answer(body: Mapping[str, Any], model: str) -> Embedded:
    """Of ``:batchEmbedContents``. Raises :class:`ValueError` for what is not an answer."""
    found = body.get("embeddings")
    if not isinstance(found, list) or not found:
        malformed("an answer without embeddings")
    vectors = [_vector(item.get("values") if isinstance(item, Mapping) else None) for item in found]
    told = body.get("usageMetadata")
    count = believable(told.get("promptTokenCount")) if isinstance(told, Mapping) else None
    return Embedded(model=model, vectors=tuple(vectors), usage=Usage(input_tokens=count) if count else None)


def write_openai_answer(embedded: Embedded, asked: Embedding) -> dict[str, Any]:
    """For a client, in the encoding and under the model's name that it asked for."""
    used = embedded.usage.input_tokens if embedded.usage is not None else 0
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _written(vector, asked.encoding)}
            for index, vector in enumerate(embedded.vectors)
        ],
        "model": asked.model,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _tokens(value: object, path: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(type(item) is int and item >= 0 for item in value):
        refuse(path, "a list of tokens, integers of 0 or more, is expected")
    return tuple(value)


def _vector(value: object) -> Sequence[float]:
    if isinstance(value, str):
        try:
            floats = array("f", base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError) as error:
            msg = f"an embedding is not base64 of float32: {error}"
            raise ValueError(msg) from error
        if byteorder == "big":
            floats.byteswap()
        value = floats.tolist()
    if not isinstance(value, list) or not 0 < len(value) <= _DIMENSIONS:
        malformed("an embedding is a list of numbers")
    if not all(type(item) in (float, int) and isfinite(item) for item in value):
        malformed("an embedding is a list of finite numbers")
    return value


def _written(vector: Sequence[float], encoding: str) -> Any:
    if encoding == "float":
        return vector
    floats = array("f", vector)
    if byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
