"""How many tokens a request will be, before anybody counts.

Admission and budgets need a number before the provider says one, for microseconds, not for a tokenizer. So bytes of
the body are divided by the bytes that one token of that model takes, which is learned from what providers report::

    input tokens = text bytes / bytes per token + images * 1000 + seconds of sound * 25

It is an estimate for decisions; what is billed is the provider's usage. Exact counting is an extra (:class:`Counter`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from importlib import import_module
from typing import Final, Protocol

UNKNOWN_BYTES: Final = 3.6
"""Bytes per token of a model that never answered. English prose takes about 4 (OpenAI's rule of thumb), the JSON around
it less; too low reserves too much, which errs on the safe side."""
LEAST_BYTES: Final = 1.0
MOST_BYTES: Final = 8.0
"""No tokenizer in use is outside of 1 to 8 bytes per token over a whole request; what says so is wrong."""
BELIEVED: Final = (0.25, 32.0)
"""What lies outside is not learned from at all: a bug, a lie, or a prompt that was expanded at the provider."""
LEARNING: Final = 0.1
"""Weight of one answer: about the last twenty count."""
STEP: Final = 1.25
"""One answer counts as at most this factor away from the average, so that a single wrong usage moves it by 2.5 %."""
SMALLEST: Final = 256
"""Bytes below which nothing is learned: the frame around the words outweighs them."""
IMAGE_TOKENS: Final = 1000
"""One image: OpenAI 85 to 1445 (by tiles of 512), Anthropic at most 1600 (pixels / 750), Gemini 258 a tile."""
AUDIO_TOKENS_PER_S: Final = 25
"""Gemini 32 tokens a second, OpenAI 10 in and 20 out."""
BASE64_AUDIO_BYTES_PER_S: Final = 10_667
"""64 kbit/s in base64: how long a sound is whose length nobody says."""
OUTPUT_TOKENS: Final = 512
"""Expected of a model that never answered."""
MODELS: Final = 2048
"""Models remembered; the one that was learned from longest ago is forgotten first."""


class Counter(Protocol):
    """Counts tokens exactly, for those who pay for it in time."""

    def count(self, text: str, model: str) -> int | None:
        """Tokens of a text; ``None`` when the model's tokenizer is not known."""


class _Calibration:
    __slots__ = ("bytes_per_token", "output_tokens")

    def __init__(self, bytes_per_token: float) -> None:
        self.bytes_per_token = bytes_per_token
        self.output_tokens = float(OUTPUT_TOKENS)


class Estimator:
    """Learns from answers what a byte is worth, per model (or per deployment: any name will do)."""

    __slots__ = ("_models",)

    def __init__(self) -> None:
        self._models: OrderedDict[str, _Calibration] = OrderedDict()

    def estimate(
        self, body_bytes: int, model: str, *, images: int = 0, media_bytes: int = 0, audio_s: float = 0.0
    ) -> int:
        """Input tokens of a request, 1 or more.

        Args:
            body_bytes: Length of the request's body.
            model: Whose tokenizer reads it.
            images: Images in it.
            media_bytes: Of the body: base64 data, which are not words.
            audio_s: Seconds of sound; :func:`audio_seconds` when unknown.
        """
        text = max(0, body_bytes - media_bytes)
        tokens = math.ceil(text / self.bytes_per_token(model))
        return max(1, tokens + images * IMAGE_TOKENS + math.ceil(audio_s * AUDIO_TOKENS_PER_S))

    def expected_output(self, model: str, max_output: int | None) -> int:
        """Output tokens to expect: twice the usual, at most what was asked for. For admission, not for budgets."""
        known = self._models.get(model)
        usual = OUTPUT_TOKENS if known is None else max(1, math.ceil(2 * known.output_tokens))
        return usual if max_output is None else max(1, min(usual, max_output))

    def bytes_per_token(self, model: str) -> float:
        """As learned, from 1 to 8."""
        known = self._models.get(model)
        return UNKNOWN_BYTES if known is None else known.bytes_per_token

    def calibrate(self, model: str, bytes_per_token: float) -> None:
        """Start from a configured figure instead of the general one."""
        self._of(model).bytes_per_token = min(MOST_BYTES, max(LEAST_BYTES, bytes_per_token))

    def learn(self, model: str, *, text_bytes: int, input_tokens: int, output_tokens: int = 0) -> bool:
        """An answer told its usage; whether it was believed. Only for requests without images and sound."""
        if output_tokens > 0:
            known = self._of(model)
            bounded = min(float(output_tokens), known.output_tokens * 8 + OUTPUT_TOKENS)
            known.output_tokens += LEARNING * (bounded - known.output_tokens)
        if text_bytes < SMALLEST or input_tokens <= 0:
            return False
        ratio = text_bytes / input_tokens
        if not BELIEVED[0] <= ratio <= BELIEVED[1]:
            return False
        known = self._of(model)
        usual = known.bytes_per_token
        ratio = min(usual * STEP, max(usual / STEP, ratio))
        known.bytes_per_token = min(MOST_BYTES, max(LEAST_BYTES, usual + LEARNING * (ratio - usual)))
        return True

    def _of(self, model: str) -> _Calibration:
        known = self._models.get(model)
        if known is None:
            if len(self._models) >= MODELS:
                self._models.popitem(last=False)
            known = self._models[model] = _Calibration(UNKNOWN_BYTES)
        else:
            self._models.move_to_end(model)
        return known


def audio_seconds(base64_bytes: int) -> float:
    """About how long a sound is."""
    return base64_bytes / BASE64_AUDIO_BYTES_PER_S


def tiktoken_counter() -> Counter:
    """OpenAI's own tokenizer, from the extra ``tiktoken``.

    Its vocabularies are downloaded at first use, unless ``TIKTOKEN_CACHE_DIR`` has them.

    Raises:
        ImportError: The extra is not installed.
    """
    tiktoken = import_module("tiktoken")  # by name: it is installed where the extra is, and typed nowhere

    class _Tiktoken:
        def count(self, text: str, model: str) -> int | None:
            try:
                encoding = tiktoken.encoding_for_model(model)
            except KeyError:
                return None
            return len(encoding.encode_ordinary(text))

    return _Tiktoken()
