from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.execution.core.job import NewJob, Priority
from holdfast.execution.core.settings import ExecutionSettings, PayloadSettings
from holdfast.execution.shell.api.requests import SubmissionBody, fingerprint
from holdfast.execution.shell.api.submission import Intake, idempotency_key
from holdfast.identity import ROLES, Principal
from holdfast.kernel import Size
from holdfast.web.decoding import decode_json
from holdfast.web.problems import ProblemError
from tests.integration.execution.languages import LANGUAGES

NOW = 1_800_000_000.0
ADA = Principal(tenant="ada", key_id="k", scopes=ROLES["developer"])
SMALL = PayloadSettings(source=Size(100), files=3, stdin=Size(10), args=2, env=2, metadata=Size(20))
INTAKE = Intake(ExecutionSettings(payload=SMALL), LANGUAGES)
ROOMY = Intake(ExecutionSettings(), LANGUAGES)
DECODER = msgspec.json.Decoder(SubmissionBody)


def read(fields: dict[str, Any]) -> SubmissionBody:
    return decode_json(DECODER, msgspec.json.encode({"language": "python", **fields}))


def accept(live: dict[str, str] | None = None, **fields: Any) -> NewJob:
    body = read({"source": "pass", **fields} if "files" not in fields else fields)
    return INTAKE.job(body, id="J", principal=ADA, live=live or {}, key=None, now=NOW)


def refused(**fields: Any) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        accept(**fields)
    return caught.value


def file(path: str, content: str = "x") -> dict[str, str]:
    return {"path": path, "content": content}


def test_a_source_becomes_the_languages_own_file_with_its_default_limits() -> None:
    job = accept(language="c++")
    assert (job.program.language, job.program.entry) == ("cpp", "main.cpp")
    assert [(each.path, each.data) for each in job.program.files] == [("main.cpp", b"pass")]
    assert job.program.limits.memory_bytes == 512 * 2**20
    assert (job.heavy, job.priority, job.tenant, job.key_id) == (True, Priority.NORMAL, "ada", "k")


def test_everything_that_may_be_given_arrives() -> None:
    job = accept(
        files=[file("main.py"), {"path": "lib/data.bin", "content_base64": "/wA="}],
        entry="main.py",
        stdin_base64="/w==",
        args=["-v", "ä"],
        env={"A_1": "x"},
        limits={"wall": 1.5, "cpu": "500ms", "memory": "64MiB", "output": 1000, "processes": 3},
        priority="high",
        deadline="10m",
        callback_url="https://example.org:8443/hook?a=b",
        metadata={"n": 1},
    )
    program = job.program
    assert program.files[1].data == b"\xff\x00"
    assert (program.stdin, program.args, program.env) == (b"\xff", ("-v", "ä"), {"A_1": "x"})
    assert (program.limits.wall_s, program.limits.cpu_s, program.limits.memory_bytes) == (1.5, 0.5, 64 * 2**20)
    assert (program.limits.output_bytes, program.limits.processes) == (1000, 3)
    assert (job.priority, job.deadline, job.metadata) == (Priority.HIGH, NOW + 600, b'{"n":1}')


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"source": None}, "source"),
        ({"source": "x", "files": [file("main.py")]}, "source"),
        ({"files": []}, "source"),
        ({"files": [file("../main.py")]}, "files[0].path"),
        ({"files": [file("main.py"), file("/etc/passwd")]}, "files[1].path"),
        ({"files": [file("a//b")]}, "files[0].path"),
        ({"files": [file("a/./b")]}, "files[0].path"),
        ({"files": [file("a/")]}, "files[0].path"),
        ({"files": [file("")]}, "files[0].path"),
        ({"files": [file("a\0b")]}, "files[0].path"),
        ({"files": [file("a\nb")]}, "files[0].path"),
        ({"files": [file("a\\b")]}, "files[0].path"),
        ({"files": [file("ä" * 128)]}, "files[0].path"),
        ({"files": [file("/".join("a" * 17))]}, "files[0].path"),
        ({"files": [file("main.py"), file("main.py")]}, "files[1].path"),
        ({"files": [file("main.py/x"), file("main.py")]}, "files[0].path"),
        ({"files": [{"path": "main.py"}]}, "files[0].content"),
        ({"files": [{"path": "main.py", "content": "", "content_base64": ""}]}, "files[0].content"),
        ({"files": [{"path": "main.py", "content_base64": "!"}]}, "files[0].content_base64"),
        ({"files": [file("a.py"), file("b.py")]}, "entry"),
        ({"files": [file("main.py")], "entry": "other.py"}, "entry"),
        ({"entry": "/abs.py"}, "entry"),
        ({"stdin": "x", "stdin_base64": "eA=="}, "stdin"),
        ({"args": ["a\0"]}, "args[0]"),
        ({"args": [1]}, "args[0]"),
        ({"env": {"1A": "x"}}, "env['1A']"),
        ({"env": {"A=B": "x"}}, "env['A=B']"),
        ({"env": {"A": "x\0"}}, "env['A']"),
        ({"limits": {"wall": 0}}, "limits.wall"),
        ({"limits": {"wall": -1}}, "limits.wall"),
        ({"limits": {"wall": 1e300}}, "limits.wall"),
        ({"limits": {"cpu": "10"}}, "limits.cpu"),
        ({"limits": {"cpu": True}}, "limits.cpu"),
        ({"limits": {"memory": -5}}, "limits.memory"),
        ({"limits": {"memory": "1TiB"}}, "limits.memory"),
        ({"limits": {"output": 2**70}}, "limits.output"),
        ({"limits": {"processes": 0}}, "limits.processes"),
        ({"limits": {"processes": 10**9}}, "limits.processes"),
        ({"limits": {"threads": 1}}, "limits"),
        ({"priority": "urgent"}, "priority"),
        ({"deadline": "yesterday"}, "deadline"),
        ({"deadline": "0"}, "deadline"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "deadline"),
        ({"deadline": "2030-01-01T00:00:00"}, "deadline"),
        ({"deadline": "9999-12-31T23:59:59Z"}, "deadline"),
        ({"deadline": "99999d"}, "deadline"),
        ({"callback_url": "ftp://example.org/"}, "callback_url"),
        ({"callback_url": "/hook"}, "callback_url"),
        ({"callback_url": "http://"}, "callback_url"),
        ({"callback_url": "http://user:secret@example.org/"}, "callback_url"),
        ({"callback_url": "http://example.org:99999/"}, "callback_url"),
        ({"callback_url": "http://127.0.0.1/"}, "callback_url"),
        ({"callback_url": "http://example.org/\r\nX: y"}, "callback_url"),
        ({"callback_url": "http://[::1/"}, "callback_url"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": "x"}, "metadata"),
        ({"bogus": 1}, None),
    ],
)
def test_what_is_wrong_is_refused_by_its_path(fields: dict[str, Any], field: str | None) -> None:
    problem = refused(**fields)
    assert (problem.kind.name, problem.field) == ("invalid-request", field), problem.detail
    assert "secret" not in problem.detail


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"source": "x" * 101}, "source"),
        ({"source": "ä" * 51}, "source"),
        ({"files": [file("a", "x" * 60), file("b", "x" * 60)]}, "files"),
        ({"files": [file(str(n)) for n in range(4)]}, "files"),
        ({"stdin": "x" * 11}, "stdin"),
        ({"args": ["a"] * 3}, "args"),
        ({"args": ["a" * 70_000]}, "args"),
        ({"env": {"A": "x" * 70_000}}, "args"),
        ({"env": {"A": "", "B": "", "C": ""}}, "env"),
        ({"metadata": {"a": "x" * 20}}, "metadata"),
    ],
)
def test_what_is_too_large_is_a_problem_of_its_own(fields: dict[str, Any], field: str) -> None:
    problem = refused(**fields)
    assert (problem.kind.name, problem.status, problem.field) == ("payload-too-large", 413, field)


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"a":"\xff\xfe"}',
        b'{"a":1e999}',
        b'{"a":' * 33 + b"1" + b"}" * 33,
        b'{"a":' + b"[" * 32 + b"]" * 32 + b"}",
        b'{"a":' * 600 + b"1" + b"}" * 600,
    ],
)
def test_metadata_that_not_everybody_can_read_is_refused(metadata: bytes) -> None:
    body = decode_json(DECODER, b'{"language":"python","source":"x","metadata":' + metadata + b"}")
    with pytest.raises(ProblemError) as caught:
        ROOMY.job(body, id="J", principal=ADA, live={}, key="k", now=NOW)
    assert (caught.value.kind.name, caught.value.field) == ("invalid-request", "metadata")


def test_metadata_may_be_nested_as_deep_as_is_said() -> None:
    metadata = b'{"a":' * 32 + b"1" + b"}" * 32
    body = decode_json(DECODER, b'{"language":"python","source":"x","metadata":' + metadata + b"}")
    job = ROOMY.job(body, id="J", principal=ADA, live={}, key=None, now=NOW)
    assert job.metadata == metadata


def test_a_source_of_exactly_the_limit_is_taken() -> None:
    assert len(accept(source="x" * 100).program.files[0].data) == 100


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    problem = refused(language="cobol\n")
    assert problem.kind.name == "unknown-language"
    assert problem.detail.endswith("known are: cpp, python")


def test_a_known_language_is_taken_while_there_is_no_worker_at_all() -> None:
    assert accept(live={}).program.language == "python"
    assert refused(live={"cpp": "13"}).kind.name == "runtime-unavailable"


def test_a_deadline_with_an_offset_is_the_same_moment() -> None:
    assert accept(deadline="2027-01-15T10:00:00+01:00").deadline == accept(deadline="2027-01-15T09:00:00Z").deadline


def test_the_fingerprint_does_not_depend_on_spelling() -> None:
    first = decode_json(DECODER, b'{"language":"python","source":"x","env":{"A":"1","B":"2"},"metadata":{"a":1,"b":2}}')
    second = decode_json(
        DECODER, b'{ "metadata": {"b":2, "a":1}, "env":{"B":"2","A":"1"}, "source":"\\u0078","language":"python"}'
    )
    other = decode_json(DECODER, b'{"language":"python","source":"y","env":{"A":"1","B":"2"},"metadata":{"a":1,"b":2}}')
    assert fingerprint(first) == fingerprint(second) != fingerprint(other)


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256, "a\x00", "a\n"])
def test_an_idempotency_key_is_visible_ascii(key: str) -> None:
    with pytest.raises(ProblemError, match="Idempotency-Key"):
        idempotency_key(key)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"language":"\xff"}', b'{"language":"\\ud800"}', b"{" * 100_000, b"[" * 100_000]
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        decode_json(DECODER, body)
    assert caught.value.kind.name in {"malformed-request", "invalid-request"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(SubmissionBody.__struct_fields__)


@given(st.dictionaries(FIELDS, JSON, max_size=4), st.booleans())
def test_any_json_is_a_job_or_a_problem(fields: dict[str, Any], with_source: bool) -> None:
    given_fields = {"language": "python", **({"source": "x"} if with_source else {}), **fields}
    try:
        body = decode_json(DECODER, msgspec.json.encode(given_fields))
        job = INTAKE.job(body, id="J", principal=ADA, live={}, key="k", now=NOW)
    except ProblemError:
        return
    assert len(job.fingerprint) == 32
    assert job.program.entry in {each.path for each in job.program.files}
