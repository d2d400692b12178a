"""Submissions as they come in. The decoder checks types, :mod:`.submission` everything else."""

from __future__ import annotations

import hashlib

import msgspec

from holdfast.execution.core.job import Priority


def _empty_object() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class FileBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A file for the work directory: text in ``content``, or any bytes in ``content_base64``."""

    path: str
    content: str | None = None
    content_base64: bytes | None = None


class LimitsBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Limits of one run. Numbers are seconds and bytes; texts carry a unit: ``"2s"``, ``"64MiB"``."""

    wall: float | str | None = None
    cpu: float | str | None = None
    memory: int | str | None = None
    output: int | str | None = None
    processes: int | None = None


class SubmissionBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A program to run. ``source`` or ``files``, never both."""

    language: str
    source: str | None = None
    files: list[FileBody] | None = None
    entry: str | None = None
    stdin: str | None = None
    stdin_base64: bytes | None = None
    args: list[str] = []
    env: dict[str, str] = {}
    limits: LimitsBody = msgspec.field(default_factory=LimitsBody)
    priority: Priority = Priority.NORMAL
    deadline: str | None = None
    """RFC 3339 with an offset, or a duration from now: ``"10m"``. A job that was not started by then is not run."""
    callback_url: str | None = None
    metadata: msgspec.Raw = msgspec.field(default_factory=_empty_object)
    """A JSON object, given back as it came."""


class BatchBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Up to 100 programs, queued together or not at all."""

    jobs: list[SubmissionBody]


def fingerprint(body: SubmissionBody) -> bytes:
    """SHA-256 of what was asked for: the same for every spelling of the same JSON."""
    given = msgspec.structs.replace(body, metadata=msgspec.Raw(b"{}"))
    canonical = msgspec.msgpack.encode((given, msgspec.json.decode(body.metadata)), order="deterministic")
    return hashlib.sha256(canonical).digest()
