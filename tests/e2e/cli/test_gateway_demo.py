"""The promise of the demo: an official client changes its base URL, and models answer; no key, no network."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import openai
import pytest

from tests.e2e.cli.test_up import DEADLINE_S, free_base, holdfast, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def models(tmp_path: Path) -> Iterator[str]:
    """The base URL that `make up` shows."""
    with holdfast(tmp_path, "up", "--port-base", str(free_base())) as process:
        yield str(wait_for(process.stderr, action="demo_up")["models"])
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0


def test_the_openai_client_is_answered_behind_the_front_door_with_any_key(models: str) -> None:
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "[[mock: echo]] Hello"}]
    with openai.OpenAI(base_url=models, api_key="any", timeout=DEADLINE_S, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="demo", messages=messages)
        answer = raw.parse()
        assert answer.choices[0].message.content == "Echo: Hello"
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert raw.headers["x-holdfast-cost"].startswith("$0.0")

        chunks = list(
            client.chat.completions.create(
                model="demo", messages=messages, stream=True, stream_options={"include_usage": True}
            )
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Echo: Hello"
        assert chunks[-1].usage == answer.usage

        # One request in ten fails at the first provider; the second one speaks another protocol.
        quick = "[[mock: words=1 first_token=0s]]"
        for number in range(30):
            asked = client.chat.completions.create(
                model="demo", messages=[{"role": "user", "content": f"{quick} {number}"}]
            )
            assert asked.choices[0].finish_reason == "stop"
        assert {"demo", "demo-large"} <= {model.id for model in client.models.list()}
