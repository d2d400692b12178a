"""The endpoints that are no chat: each answers in one piece."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from holdfast.gateway.shell.mock.answers import Unreadable, tokens_of
from holdfast.gateway.shell.mock.routes import Route
from holdfast.gateway.shell.mock.wire import Wire, encode, listed, texts, whole_number

_JSON: Final = b"application/json"
_DIMENSIONS: Final = 8
_MOST_DIMENSIONS: Final = 4096
_PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""One pixel."""
_SILENCE: Final = b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
_PART_NAME: Final = re.compile(rb'name="([^"]{1,64})"')
_CREATED: Final = 1_700_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """An answer that is no chat."""

    body: bytes
    status: int = 200
    kind: bytes = _JSON
    prompt_tokens: int = 0


def answer(route: Route, wire: Wire, given: dict[str, Any], named: str, models: Sequence[str]) -> Plain:
    """The answer of an endpoint. Raises :class:`Unreadable`."""
    match route.protocol, route.kind:
        case _, "models":
            return Plain(body=_models(route.protocol, models))
        case _, "model":
            if route.model not in models:
                return Plain(body=wire.error(404, f"the model {route.model!r} does not exist"), status=404)
            return Plain(body=encode(_model(route.protocol, route.model)))
        case _, "count":
            asked = wire.read(given.get("generateContentRequest") or given, named)
            name = "totalTokens" if route.protocol == "gemini" else "input_tokens"
            return Plain(body=encode({name: asked.prompt_tokens}), prompt_tokens=asked.prompt_tokens)
        case "gemini", "embeddings" | "embedding":
            return _gemini_embeddings(route, given)
        case _, "embeddings":
            return _embeddings(given, named)
        case _, "images":
            count = min(whole_number(given.get("n")) or 1, 10)
            image = {"b64_json": base64.b64encode(_PNG).decode()}
            return Plain(body=encode({"created": _CREATED, "data": [image] * count}))
        case _, "speech":
            text = given.get("input")
            if not isinstance(text, str):
                raise Unreadable("input must be a string")
            samples = b"\0\0" * min(len(text), 65536)
            return Plain(body=_SILENCE + b"data" + struct.pack("<I", len(samples)) + samples, kind=b"audio/wav")
        case _, "transcriptions":
            size = int(given["size"])
            return Plain(body=encode({"text": f"{size} bytes of sound", "usage": {"type": "duration", "seconds": 1}}))
    raise Unreadable("no such endpoint")  # pragma: no cover - routes name the ones above


def multipart(body: bytes) -> dict[str, Any]:
    """The fields of a form, and the size of its file. Raises :class:`Unreadable`."""
    boundary, separator, _ = body.partition(b"\r\n")
    if not separator or not boundary.startswith(b"--"):
        raise Unreadable("it must be multipart/form-data")
    fields: dict[str, Any] = {}
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = _PART_NAME.search(head)
        if name is None:
            raise Unreadable("a part of the form has no name")
        content = content.removesuffix(b"\r\n")
        if name[1] == b"file":
            fields["size"] = len(content)
        else:
            fields[name[1].decode()] = content.decode()
    if "size" not in fields:
        raise Unreadable("the form has no file")
    return fields


def vector(text: str, size: int) -> list[float]:
    """The embedding of a text: the same for the same text, of about unit length."""
    state = crc32(text.encode("utf-8", "surrogatepass"))
    return [((state * (2 * n + 1) >> 7) % 2001 - 1000) / 1000 / size**0.5 for n in range(size)]


def _embeddings(given: Mapping[str, Any], named: str) -> Plain:
    inputs = given.get("input")
    if isinstance(inputs, str) or (isinstance(inputs, list) and inputs and isinstance(inputs[0], int)):
        inputs = [inputs]
    if not isinstance(inputs, list) or not inputs:
        raise Unreadable("input must be a string, or a list of strings or tokens")
    size = min(whole_number(given.get("dimensions")) or _DIMENSIONS, _MOST_DIMENSIONS)
    data: list[dict[str, Any]] = []
    count = 0
    for n, text in enumerate(inputs):
        count += tokens_of(text) if isinstance(text, str) else len(text)
        values: Any = vector(str(text), size)
        if given.get("encoding_format") == "base64":
            values = base64.b64encode(struct.pack(f"<{size}f", *values)).decode()
        data.append({"object": "embedding", "index": n, "embedding": values})
    usage = {"prompt_tokens": count, "total_tokens": count}
    body = encode({"object": "list", "data": data, "model": named, "usage": usage})
    return Plain(body=body, prompt_tokens=count)


def _gemini_embeddings(route: Route, given: Mapping[str, Any]) -> Plain:
    requests = listed(given.get("requests"), "requests") if route.kind == "embeddings" else [dict(given)]
    contents = [texts((request.get("content") or {}).get("parts")) for request in requests]
    size = (
        min(whole_number(requests[0].get("outputDimensionality")) or _DIMENSIONS, _MOST_DIMENSIONS) if requests else 0
    )
    values = [{"values": vector(text, size)} for text in contents]
    count = sum(tokens_of(text) for text in contents)
    body = encode({"embeddings": values} if route.kind == "embeddings" else {"embedding": values[0]})
    return Plain(body=body, prompt_tokens=count)


def _model(protocol: str, name: str) -> dict[str, Any]:
    if protocol == "gemini":
        methods = ["generateContent", "countTokens"]
        return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "mock"}


def _models(protocol: str, names: Sequence[str]) -> bytes:
    found = [_model(protocol, name) for name in names]
    return encode({"models": found} if protocol == "gemini" else {"object": "list", "data": found})
