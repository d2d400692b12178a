"""The strict way from a submission to a job.

The decoder checks types, this module everything else. The first thing that is wrong is raised as
a problem that names the path of the value, what is accepted, and what to do.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from typing import Final, NoReturn

import msgspec

from holdfast.execution.core.callback import target
from holdfast.execution.core.job import Limits, NewJob, Program, SourceFile
from holdfast.execution.core.settings import (
    CallbackSettings,
    CeilingSettings,
    ExecutionSettings,
    LimitSettings,
    PayloadSettings,
)
from holdfast.execution.shell.api.languages import Defaults, Language
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.execution.shell.api.requests import LimitsBody, SubmissionBody, fingerprint
from holdfast.identity.principal import Principal
from holdfast.kernel import Duration, Size

BATCH: Final = 100
"""Jobs in one batch."""
ARGUMENT_BYTES: Final = 64 * 1024
"""Arguments and environment together: execve(2) takes 128 KiB at least, and the sandbox adds its own."""
PATH_BYTES: Final = 255
PATH_DEPTH: Final = 16
METADATA_LEVELS: Final = 32
"""Parsers of JSON elsewhere give up at 64 (System.Text.Json), 100 (protobuf) or 512 (PHP)."""
LATEST_DEADLINE_S: Final = 30 * 86_400.0

_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


class Intake:
    """Makes jobs of submissions, under the settings of the service."""

    def __init__(self, settings: ExecutionSettings, languages: Mapping[str, Language]) -> None:
        """``languages`` are all that there are, by name; whether a worker can run them is another question."""
        self._payload = settings.payload
        self._callbacks = settings.callbacks
        self._ceilings = settings.ceilings
        self._languages = languages
        self._names = {alias: name for name, each in languages.items() for alias in (name, *each.aliases)}
        self._defaults = {name: _default_limits(settings.limits, each.limits) for name, each in languages.items()}

    def job(
        self,
        body: SubmissionBody,
        *,
        id: str,
        principal: Principal,
        live: Mapping[str, str],
        key: str | None,
        now: float,
        at: str = "",
    ) -> NewJob:
        """The job that a submission asks for. Raises :class:`ProblemError`.

        ``live`` are the languages that workers offer; while there is no worker every known language is taken.
        ``at`` goes before the paths in errors (``jobs[3].`` in a batch).
        """
        try:
            name = self._name(body.language, live)
            language = self._languages[name]
            files = _files(body, language, self._payload)
            job = NewJob(
                id=id,
                tenant=principal.tenant,
                key_id=principal.key_id,
                program=Program(
                    language=name,
                    files=files,
                    entry=_entry(body.entry, files, language),
                    stdin=_stdin(body, self._payload),
                    args=_arguments(body, self._payload),
                    env=body.env,
                    limits=_limits(body.limits, self._defaults[name], self._ceilings),
                ),
                priority=body.priority,
                deadline=None if body.deadline is None else _deadline(body.deadline, now),
                callback_url=None if body.callback_url is None else _callback(body.callback_url, self._callbacks),
                metadata=_metadata(body.metadata, self._payload),
                idempotency_key=key,
                fingerprint=b"" if key is None else fingerprint(body),
                heavy=language.heavy,
                submitted=now,
            )
        except _Invalid as invalid:
            kind = "payload-too-large" if invalid.large else "invalid-request"
            raise ProblemError(kind, f"{at}{invalid.path}: {invalid.message}", field=at + invalid.path) from None
        except ProblemError as problem:
            if at and problem.field is not None:
                raise ProblemError(problem.kind.name, f"{at}{problem.detail}", field=at + problem.field) from None
            raise
        return job

    def _name(self, language: str, live: Mapping[str, str]) -> str:
        """The language's own name."""
        name = self._names.get(language)
        if name is None:
            known = ", ".join(sorted(self._languages)) or "none"
            text = f"language: {language[:40]!r} is unknown; known are: {known}"
            raise ProblemError("unknown-language", text, field="language")
        if live and name not in live:
            offered = ", ".join(sorted(live))
            text = f"language: no worker offers {name!r} now; offered are: {offered}"
            raise ProblemError("runtime-unavailable", text, field="language")
        return name


def idempotency_key(value: str) -> str:
    """Check the header ``Idempotency-Key``. Raises :class:`ProblemError`."""
    if not _IDEMPOTENCY_KEY.fullmatch(value):
        raise ProblemError(
            "invalid-request",
            "Idempotency-Key: must be 1 to 255 visible ASCII characters without spaces; a UUID will do",
            field="Idempotency-Key",
        )
    return value


class _Invalid(Exception):
    """A value is refused: where, and what is accepted."""

    def __init__(self, path: str, message: str, *, large: bool = False) -> None:
        super().__init__(path)
        self.path = path
        self.message = message
        self.large = large


def _refuse(path: str, message: str) -> NoReturn:
    raise _Invalid(path, message)


def _too_large(path: str, found: int, limit: int, what: str = "bytes") -> NoReturn:
    raise _Invalid(path, f"has {found} {what}, at most {limit} are accepted; make it smaller", large=True)


def _files(body: SubmissionBody, language: Language, limits: PayloadSettings) -> tuple[SourceFile, ...]:
    if body.source is not None:
        if body.files is not None:
            _refuse("source", "comes together with files; send one of the two")
        data = body.source.encode()
        if len(data) > limits.source:
            _too_large("source", len(data), limits.source)
        name = language.file if body.entry is None else body.entry
        _check_path("entry", name)
        return (SourceFile(path=name, data=data),)
    if not body.files:
        _refuse("source", "is missing; send the program in source, or one or more files")
    if len(body.files) > limits.files:
        _too_large("files", len(body.files), limits.files, "files")
    files: dict[str, SourceFile] = {}
    total = 0
    for index, file in enumerate(body.files):
        at = f"files[{index}]"
        _check_path(f"{at}.path", file.path)
        if file.path in files:
            _refuse(f"{at}.path", f"{file.path!r} is there twice; give every file a path of its own")
        data = _either(f"{at}.content", file.content, file.content_base64)
        total += len(data)
        if total > limits.source:
            _too_large("files", total, limits.source)
        files[file.path] = SourceFile(path=file.path, data=data)
    for index, path in enumerate(files):
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if (parent := "/".join(parts[:depth])) in files:
                _refuse(f"files[{index}].path", f"{parent!r} is a file, and cannot be a directory; rename one")
    return tuple(files.values())


def _either(path: str, text: str | None, data: bytes | None) -> bytes:
    if (text is None) == (data is None):
        _refuse(path, f"send it as text, or as base64 in {path.rpartition('.')[2]}_base64; one of the two")
    return data if text is None else text.encode()  # type: ignore[return-value]


def _check_path(at: str, path: str) -> None:
    if not path or len(path.encode()) > PATH_BYTES:
        _refuse(at, f"must have 1 to {PATH_BYTES} bytes")
    if not path.isprintable() or "\\" in path:
        _refuse(at, "must not contain control characters or backslashes")
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts) or len(parts) > PATH_DEPTH:
        _refuse(at, f"{path!r} must be relative, without '.', '..' or empty parts, at most {PATH_DEPTH} deep")


def _entry(entry: str | None, files: tuple[SourceFile, ...], language: Language) -> str:
    paths = [file.path for file in files]
    if entry is not None:
        if entry not in paths:
            _refuse("entry", f"{entry[:PATH_BYTES]!r} is none of the files; name one of them")
        return entry
    if language.file in paths:
        return language.file
    if len(paths) > 1:
        _refuse("entry", f"is missing, and no file is called {language.file!r}; name the file to start")
    return paths[0]


def _stdin(body: SubmissionBody, limits: PayloadSettings) -> bytes:
    if body.stdin is None and body.stdin_base64 is None:
        return b""
    data = _either("stdin", body.stdin, body.stdin_base64)
    if len(data) > limits.stdin:
        _too_large("stdin", len(data), limits.stdin)
    return data


def _arguments(body: SubmissionBody, limits: PayloadSettings) -> tuple[str, ...]:
    """The arguments; checks the environment with them, because they share one limit."""
    if not body.args and not body.env:
        return ()
    if len(body.args) > limits.args:
        _too_large("args", len(body.args), limits.args, "arguments")
    if len(body.env) > limits.env:
        _too_large("env", len(body.env), limits.env, "variables")
    for index, arg in enumerate(body.args):
        if "\0" in arg:
            _refuse(f"args[{index}]", "must not contain NUL")
    for name, value in body.env.items():
        if not _ENV_NAME.fullmatch(name):
            _refuse(f"env[{name[:40]!r}]", "is not a name: letters, digits and '_', not starting with a digit")
        if "\0" in value:
            _refuse(f"env[{name!r}]", "must not contain NUL")
    # As execve(2) counts: every string with its NUL, "NAME=value" for variables.
    total = sum(len(arg.encode()) + 1 for arg in body.args)
    total += sum(len(name) + len(value.encode()) + 2 for name, value in body.env.items())
    if total > ARGUMENT_BYTES:
        _too_large("args", total, ARGUMENT_BYTES, "bytes together with env")
    return tuple(body.args)


def _default_limits(general: LimitSettings, own: Defaults) -> Limits:
    return Limits(
        wall_s=float(general.wall if own.wall is None else own.wall),
        cpu_s=float(general.cpu if own.cpu is None else own.cpu),
        memory_bytes=int(general.memory if own.memory is None else own.memory),
        output_bytes=int(general.output),
        processes=general.processes if own.processes is None else own.processes,
    )


def _limits(asked: LimitsBody, default: Limits, ceiling: CeilingSettings) -> Limits:
    if asked == _NOTHING_ASKED:
        return default
    return Limits(
        wall_s=_seconds("limits.wall", asked.wall, default.wall_s, ceiling.wall),
        cpu_s=_seconds("limits.cpu", asked.cpu, default.cpu_s, ceiling.cpu),
        memory_bytes=_bytes("limits.memory", asked.memory, default.memory_bytes, ceiling.memory),
        output_bytes=_bytes("limits.output", asked.output, default.output_bytes, ceiling.output),
        processes=_count("limits.processes", asked.processes, default.processes, ceiling.processes),
    )


_NOTHING_ASKED: Final = LimitsBody()


def _seconds(path: str, asked: float | str | None, default: float, ceiling: float) -> float:
    if asked is None:
        return default
    try:
        value = float(Duration.parse(asked) if isinstance(asked, str) else asked)
    except ValueError as wrong:
        _refuse(path, str(wrong))
    if not (math.isfinite(value) and 0 < value <= ceiling):
        _refuse(path, f"must be more than 0 and at most {Duration(ceiling)}")
    return value


def _bytes(path: str, asked: int | str | None, default: int, ceiling: int) -> int:
    if asked is None:
        return default
    try:
        value = int(Size.parse(asked) if isinstance(asked, str) else asked)
    except ValueError as wrong:
        _refuse(path, str(wrong))
    if not 0 < value <= ceiling:
        _refuse(path, f"must be more than 0 and at most {Size(ceiling)}")
    return value


def _count(path: str, asked: int | None, default: int, ceiling: int) -> int:
    if asked is None:
        return default
    if not 0 < asked <= ceiling:
        _refuse(path, f"must be from 1 to {ceiling}")
    return asked


def _deadline(text: str, now: float) -> float:
    at = _moment(text, now)
    if at <= now:
        _refuse("deadline", "has passed; give a time in the future")
    if at > now + LATEST_DEADLINE_S:
        _refuse("deadline", f"is further away than {Duration(LATEST_DEADLINE_S)}")
    return at


def _moment(text: str, now: float) -> float:
    advice = "must be a time like '2030-01-31T12:00:00Z', with an offset, or a duration from now like '10m'"
    if len(text) > 64:
        _refuse("deadline", advice)
    try:
        if text[:4].isdigit() and text[4:5] == "-":
            moment = dt.datetime.fromisoformat(text)
            if moment.tzinfo is None:
                _refuse("deadline", advice)
            return moment.timestamp()
        return now + Duration.parse(text)
    except (ValueError, OverflowError):
        _refuse("deadline", advice)


def _callback(url: str, settings: CallbackSettings) -> str:
    # What is refused now would be refused when the call is due, and nobody reads that.
    where = target(url, allow_private=settings.allow_private)
    if isinstance(where, str):
        _refuse("callback_url", where)
    return url


def _metadata(raw: msgspec.Raw, limits: PayloadSettings) -> bytes:
    data = bytes(raw)
    if len(data) > limits.metadata:
        _too_large("metadata", len(data), limits.metadata)
    if not data.startswith(b"{"):
        _refuse("metadata", "must be an object")
    if len(data) > len(b"{}"):
        # It goes as it is into every answer that shows the job, so all of it has to be JSON that anybody can read;
        # the decoder skipped over it.
        try:
            levels = _levels(msgspec.json.decode(data))
        except (ValueError, RecursionError):  # msgspec's errors and those of UTF-8 included
            _refuse("metadata", "must be an object in UTF-8, with numbers of ordinary size")
        if levels > METADATA_LEVELS:
            _refuse("metadata", f"is nested {levels} levels deep, at most {METADATA_LEVELS} are accepted")
    return data


def _levels(value: object) -> int:
    within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if within is None else 1 + max(map(_levels, within), default=0)
