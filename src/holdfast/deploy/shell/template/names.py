"""Logical ids: CloudFormation takes letters and digits only, our names have hyphens."""

from __future__ import annotations

import re


def logical_id(*parts: str) -> str:
    """``("execution-worker", "role")`` becomes ``ExecutionWorkerRole``.

    Parts that are camel-cased already stay as they are.
    """
    words = (word for part in parts for word in re.split(r"[^A-Za-z0-9]+", part) if word)
    return "".join(word[0].upper() + word[1:] for word in words)


def variable_id(variable: str) -> str:
    """``OPENAI_API_KEY`` becomes ``OpenaiApiKey``."""
    return logical_id(*(word.lower() for word in variable.split("_")))
