"""OpenAI's older completions, which vLLM and others still serve (``/v1/completions``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.gateway.shell.mock.answers import Asked, Frame, Turn, Unreadable, tokens_of
from holdfast.gateway.shell.mock.openai import FINISH, broken_of, error_of, usage_of
from holdfast.gateway.shell.mock.wire import ServerSentEvents, encode, whole_number

_MOST_CHOICES = 16


class OpenAICompletions(ServerSentEvents):
    """Completions. Thinking is counted and not shown: the protocol has no place for it."""

    name = "completions"

    def read(self, body: dict[str, Any], model: str) -> Asked:
        """See :class:`~.wire.Wire`."""
        prompts = body.get("prompt")
        if isinstance(prompts, str) or (isinstance(prompts, list) and prompts and isinstance(prompts[0], int)):
            prompts = [prompts]
        if not isinstance(prompts, list) or not prompts or not all(isinstance(one, str | list) for one in prompts):
            raise Unreadable("prompt must be a string, or a list of strings or tokens")
        asked = Asked(model=model, stream=body.get("stream") is True, body=body)
        asked.text = next((one for one in reversed(prompts) if isinstance(one, str)), "")
        asked.prompt_tokens = sum(tokens_of(one) if isinstance(one, str) else len(one) for one in prompts)
        options = body.get("stream_options")
        asked.include_usage = isinstance(options, dict) and options.get("include_usage") is True
        asked.choices = min((whole_number(body.get("n")) or 1) * len(prompts), _MOST_CHOICES)
        asked.max_tokens = whole_number(body.get("max_tokens"))
        return asked

    def whole(self, turn: Turn) -> bytes:
        """See :class:`~.wire.Wire`."""
        answer = self._start(turn)
        answer["choices"] = [self._choice(n, turn.text, FINISH[turn.finish]) for n in range(turn.asked.choices)]
        if (usage := usage_of(turn)) is not None:
            answer["usage"] = usage
        return encode(answer)

    def frames(self, turn: Turn) -> Iterator[Frame]:
        """See :class:`~.wire.Wire`. One frame is one token; those of thinking come with the first."""
        asked = turn.asked
        start = encode(self._start(turn))[:-1] + b',"choices":['
        tail = b'],"usage":null}\n\n' if asked.include_usage else b"]}\n\n"
        hidden = len(turn.thoughts)
        for piece in turn.spoken:
            text = encode(piece)
            for n in range(asked.choices):
                choice = b'{"text":%b,"index":%d,"logprobs":null,"finish_reason":null}' % (text, n)
                yield b"data: %b%b%b" % (start, choice, tail), 1 + hidden
            hidden = 0
        for n in range(asked.choices):
            yield b"data: %b%b%b" % (start, encode(self._choice(n, "", FINISH[turn.finish])), tail), hidden
        if asked.include_usage and (usage := usage_of(turn)) is not None:
            yield b'data: %b],"usage":%b}\n\n' % (start, encode(usage)), 0
        yield b"data: [DONE]\n\n", 0

    def error(self, status: int, message: str, retry_after: float | None = None) -> bytes:
        """See :class:`~.wire.Wire`."""
        return error_of(status, message)

    def broken(self) -> bytes:
        """See :class:`~.wire.Wire`."""
        return broken_of()

    @staticmethod
    def _start(turn: Turn) -> dict[str, Any]:
        return {
            "id": f"cmpl-{turn.number:08d}",
            "object": "text_completion",
            "created": turn.created,
            "model": turn.asked.model,
            "system_fingerprint": "fp_mock",
        }

    @staticmethod
    def _choice(index: int, text: str, finish: str) -> dict[str, Any]:
        return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
