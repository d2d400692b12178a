"""OpenAI's responses, as its API reference gives them (``/v1/responses``), with every event of a stream in its order.

Each output item is announced, filled and closed before the next one, and each event has its number::

    response.created, response.in_progress
      response.output_item.added
        response.content_part.added, response.output_text.delta ..., response.output_text.done,
        response.content_part.done
      response.output_item.done
    response.completed | response.incomplete

A stream has no ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Final

from holdfast.gateway.shell.mock.answers import Asked, Call, Finish, Frame, Turn, Unreadable, tokens_of, weight_of
from holdfast.gateway.shell.mock.openai import error_of
from holdfast.gateway.shell.mock.wire import (
    IMAGE_TOKENS,
    ServerSentEvents,
    encode,
    event,
    texts,
    whole_number,
)

_Tell = Callable[..., bytes]
"""An event of a kind, from its fields."""
_INCOMPLETE: Final[dict[Finish, str]] = {"length": "max_output_tokens", "refusal": "content_filter"}


class OpenAIResponses(ServerSentEvents):
    """Responses."""

    name = "responses"

    def read(self, body: dict[str, Any], model: str) -> Asked:
        """See :class:`~.wire.Wire`."""
        asked = Asked(model=model, stream=body.get("stream") is True, body=body)
        items = body.get("input")
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
            raise Unreadable("input must be a string or a list of items, and not empty")
        total = tokens_of(texts(body.get("instructions")))
        for item in items:
            asked.tool_result = None
            match item.get("type", "message"):
                case "message":
                    content = item.get("content")
                    text = texts(content)
                    total += tokens_of(text)
                    if isinstance(content, list):
                        total += IMAGE_TOKENS * sum(part.get("type") == "input_image" for part in content)
                    if item.get("role") == "user":
                        asked.text = text
                case "function_call_output":
                    asked.tool_result = texts(item.get("output"))
                    total += tokens_of(asked.tool_result)
                case _:
                    total += weight_of(item)
        if tools := body.get("tools"):
            asked.tools = [str(tool.get("name")) for tool in tools if tool.get("type") == "function"]
            total += weight_of(tools)
        choice = body.get("tool_choice")
        if choice == "required":
            asked.forced = ""
        elif isinstance(choice, dict):
            asked.forced = str(choice.get("name", ""))
        shape = (body.get("text") or {}).get("format")
        if isinstance(shape, dict):
            asked.json_object = shape.get("type") == "json_object"
            asked.schema = shape.get("schema")
        asked.max_tokens = whole_number(body.get("max_output_tokens"))
        asked.prompt_tokens = total
        return asked

    def whole(self, turn: Turn) -> bytes:
        """See :class:`~.wire.Wire`."""
        return encode(self._response(turn, self._status(turn), self._output(turn)))

    def frames(self, turn: Turn) -> Iterator[Frame]:
        """See :class:`~.wire.Wire`. One delta is one token; a tool's name is one too, told when its item is added."""
        numbers = count()
        response = self._response(turn, "in_progress", [])

        def told(kind: str, **fields: Any) -> bytes:
            return event(kind.encode(), {"type": kind, **fields, "sequence_number": next(numbers)})

        yield told("response.created", response=response), 0
        yield told("response.in_progress", response=response), 0
        index = 0
        if turn.thoughts:
            at = {"item_id": self._id("rs", turn), "output_index": index, "summary_index": 0}
            yield self._added(told, self._reasoning(turn, []), index), 0
            part = {"type": "summary_text", "text": ""}
            yield told("response.reasoning_summary_part.added", part=part, **at), 0
            for thought in turn.thoughts:
                yield told("response.reasoning_summary_text.delta", delta=thought, **at), 1
            yield told("response.reasoning_summary_text.done", text=turn.thought, **at), 0
            part = {"type": "summary_text", "text": turn.thought}
            yield told("response.reasoning_summary_part.done", part=part, **at), 0
            yield self._done(told, self._reasoning(turn, [part]), index), 0
            index += 1
        if turn.pieces:
            yield from self._text(turn, index, told, numbers)
            index += 1
        for call in turn.calls:
            at = {"item_id": call.id.replace("call_", "fc_"), "output_index": index}
            yield self._added(told, self._call(call, "in_progress", ""), index), 1
            for piece in call.pieces:
                yield told("response.function_call_arguments.delta", delta=piece, **at), 1
            arguments = {"name": call.name, "arguments": call.arguments}
            yield told("response.function_call_arguments.done", **arguments, **at), 0
            yield self._done(told, self._call(call, "completed", call.arguments), index), 0
            index += 1
        status = self._status(turn)
        yield told(f"response.{status}", response=self._response(turn, status, self._output(turn))), 0

    def error(self, status: int, message: str, retry_after: float | None = None) -> bytes:
        """See :class:`~.wire.Wire`."""
        return error_of(status, message)

    def broken(self) -> bytes:
        """See :class:`~.wire.Wire`."""
        error = {"type": "error", "code": "server_error", "message": "the mock ends this stream with an error"}
        return event(b"error", error | {"param": None, "sequence_number": 0})

    def _text(self, turn: Turn, index: int, told: _Tell, numbers: Iterator[int]) -> Iterator[Frame]:
        item = self._id("msg", turn)
        at = {"item_id": item, "output_index": index, "content_index": 0}
        yield self._added(told, self._message(turn, "in_progress", []), index), 0
        yield told("response.content_part.added", part=self._part(""), **at), 0
        left = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":'
        right = b',"item_id":"%b","output_index":%d,"content_index":0,"logprobs":[],"sequence_number":' % (
            item.encode(),
            index,
        )
        for piece in turn.spoken:  # flat, as a benchmark of streams runs it
            yield b"%b%b%b%d}\n\n" % (left, encode(piece), right, next(numbers)), 1
        yield told("response.output_text.done", text=turn.text, logprobs=[], **at), 0
        yield told("response.content_part.done", part=self._part(turn.text), **at), 0
        yield self._done(told, self._message(turn, self._status(turn), [self._part(turn.text)]), index), 0

    def _response(self, turn: Turn, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        body = turn.asked.body
        response: dict[str, Any] = {
            "id": self._id("resp", turn),
            "object": "response",
            "created_at": turn.created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": _INCOMPLETE[turn.finish]} if status == "incomplete" else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": turn.asked.max_tokens,
            "metadata": body.get("metadata") or {},
            "model": turn.asked.model,
            "output": output,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": body.get("previous_response_id"),
            "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
            "service_tier": "default",
            "store": body.get("store", True),
            "temperature": body.get("temperature", 1.0),
            "text": body.get("text") or {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p", 1.0),
            "truncation": body.get("truncation", "disabled"),
            "user": body.get("user"),
        }
        if status == "in_progress":
            response["usage"] = None
        elif (usage := self._usage(turn)) is not None:
            response["usage"] = usage
        return response

    def _output(self, turn: Turn) -> list[dict[str, Any]]:
        output: list[dict[str, Any]] = []
        if turn.thoughts:
            output.append(self._reasoning(turn, [{"type": "summary_text", "text": turn.thought}]))
        if turn.pieces:
            output.append(self._message(turn, self._status(turn), [self._part(turn.text)]))
        return output + [self._call(call, "completed", call.arguments) for call in turn.calls]

    @staticmethod
    def _status(turn: Turn) -> str:
        return "incomplete" if turn.finish in _INCOMPLETE else "completed"

    @staticmethod
    def _id(kind: str, turn: Turn) -> str:
        return f"{kind}_{turn.number:08d}"

    def _reasoning(self, turn: Turn, summary: list[dict[str, Any]]) -> dict[str, Any]:
        item: dict[str, Any] = {"id": self._id("rs", turn), "type": "reasoning", "summary": summary}
        if "reasoning.encrypted_content" in (turn.asked.body.get("include") or ()):
            item["encrypted_content"] = "bW9jay1yZWFzb25pbmc="
        return item

    def _message(self, turn: Turn, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        kind = {"id": self._id("msg", turn), "type": "message", "status": status}
        return kind | {"role": "assistant", "content": content}

    @staticmethod
    def _part(text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    @staticmethod
    def _call(call: Call, status: str, arguments: str) -> dict[str, Any]:
        item = {"id": call.id.replace("call_", "fc_"), "type": "function_call", "status": status}
        return item | {"call_id": call.id, "name": call.name, "arguments": arguments}

    @staticmethod
    def _added(told: _Tell, item: Mapping[str, Any], index: int) -> bytes:
        return told("response.output_item.added", output_index=index, item=item)

    @staticmethod
    def _done(told: _Tell, item: Mapping[str, Any], index: int) -> bytes:
        return told("response.output_item.done", output_index=index, item=item)

    @staticmethod
    def _usage(turn: Turn) -> dict[str, Any] | None:
        told = turn.usage
        if told is None:
            return None
        return {
            "input_tokens": told.prompt,
            "input_tokens_details": {"cached_tokens": told.cached, "cache_write_tokens": told.cache_write},
            "output_tokens": told.output,
            "output_tokens_details": {"reasoning_tokens": told.reasoning},
            "total_tokens": told.prompt + told.output,
        }
