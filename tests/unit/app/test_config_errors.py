"""Every kind of mistake in a file: one line with place and remedy, exit code 2, nothing started."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

import holdfast.balancer
from holdfast.cli import main

Refused = Callable[..., list[str]]

HEAD = "balancer:\n  listen: ['127.0.0.1:0']\n  admin: null\n"
WEB = '  pools:\n    web:\n      backends: [{id: a, url: "http://127.0.0.1:9001"}]\n'


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs the balancer with a file that must be refused; returns the lines that the user sees."""

    def serve(*_: object, **__: object) -> None:
        pytest.fail("a wrong configuration reached the balancer")

    monkeypatch.setattr(holdfast.balancer, "serve", serve, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(text: str | bytes | None, name: str = "holdfast.yaml") -> list[str]:
        if text is not None:
            Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        assert main(["run", "balancer", "-c", name]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err.splitlines()

    return run


LINES: dict[str, tuple[str, str]] = {
    "unknown key with a near miss": (
        HEAD + WEB + "      retry: {atempts: 3}\n",
        'holdfast.yaml:7: balancer.pools.web.retry.atempts: unknown key; did you mean "attempts"?',
    ),
    "unknown key without one": (
        HEAD + WEB + "      tls: {zzz: 3}\n",
        "holdfast.yaml:7: balancer.pools.web.tls.zzz: unknown key; known here: verify, ca, server_name, cert, key",
    ),
    "unknown section": (
        HEAD + WEB + "balancr: {}\n",
        'holdfast.yaml:7: balancr: unknown key; did you mean "balancer"?',
    ),
    "text for a number": (
        HEAD + WEB + "  workers: two\n",
        'holdfast.yaml:7: balancer.workers: "two": not a whole number; write a whole number',
    ),
    "quoted number": (
        HEAD + WEB + '  workers: "2"\n',
        'holdfast.yaml:7: balancer.workers: "2": wrong type: a quoted text; write a whole number, without quotes',
    ),
    "yes for true": (
        HEAD + WEB + "      tls: {verify: yes}\n",
        'holdfast.yaml:7: balancer.pools.web.tls.verify: "yes": not true or false; write true or false',
    ),
    "infinite number": (
        HEAD + WEB + "      damping: {penalty: 1e999}\n",
        'holdfast.yaml:7: balancer.pools.web.damping.penalty: "1e999": not a number; write a number',
    ),
    "list for a section": (
        HEAD + WEB + "      retry: [1]\n",
        "holdfast.yaml:7: balancer.pools.web.retry: wrong type: a list; write a section of KEY: VALUE lines",
    ),
    "section for a list": (
        HEAD + WEB + "  routes: {pool: web}\n",
        "holdfast.yaml:7: balancer.routes: wrong type: a section; "
        "write a list, each item a section of KEY: VALUE lines",
    ),
    "nothing for a number": (
        HEAD + WEB + "  workers:\n",
        'holdfast.yaml:7: balancer.workers: "": wrong type: nothing; write a whole number',
    ),
    "duration without unit": (
        HEAD + WEB + "      timeout: 10\n",
        'holdfast.yaml:7: balancer.pools.web.timeout: "10": not a duration; '
        "write a number with a unit, like 250ms, 10s or 1m30s",
    ),
    "endless duration": (
        HEAD + WEB + f"      timeout: {'9' * 400}s\n",
        f'holdfast.yaml:7: balancer.pools.web.timeout: "{"9" * 77}...": not a duration; '
        "write a number with a unit, like 250ms, 10s or 1m30s",
    ),
    "size without unit": (
        HEAD + WEB + "  limits: {header_block: 1000}\n",
        'holdfast.yaml:7: balancer.limits.header_block: "1000": not a size; '
        "write a number with a unit, like 512B, 64KiB or 1GiB",
    ),
    "unknown choice": (
        HEAD + WEB + "      strategy: p3c\n",
        'holdfast.yaml:7: balancer.pools.web.strategy: "p3c": not one of the choices; did you mean "p2c"?',
    ),
    "number out of range": (
        HEAD + WEB + "      retry: {attempts: 0}\n",
        'holdfast.yaml:7: balancer.pools.web.retry.attempts: "0": out of range; write a value from 1 to 20',
    ),
    "duration out of range": (
        HEAD + WEB + "      timeout: 10us\n",
        'holdfast.yaml:7: balancer.pools.web.timeout: "10us": out of range; write a value from 1ms to 7d',
    ),
    "missing key": (
        HEAD + "  pools:\n    web:\n      backends:\n        - {id: a}\n",
        "holdfast.yaml:7: balancer.pools.web.backends[0].url: missing; add `url:` with a text",
    ),
    "missing pools": (HEAD, "holdfast.yaml:2: balancer.pools: missing; add `pools:` with names with a section each"),
    "no pool": (HEAD + "  pools: {}\n", "holdfast.yaml:4: balancer.pools: no pool; add a pool with a list of backends"),
    "no service": (
        "supervisor: {}\n",
        "holdfast.yaml:1: balancer: no service is configured; "
        "add a `balancer:` section; docs/configuration.md has an example",
    ),
    "pool without backends": (
        HEAD + "  pools: {web: {}}\n",
        "holdfast.yaml:4: balancer.pools.web: no backends; add `backends:` with id and url, or `discovery:`",
    ),
    "duplicate backend": (
        HEAD
        + "  pools:\n    web:\n      backends:\n"
        + '        - {id: a, url: "http://127.0.0.1:9001"}\n        - {id: a, url: "http://127.0.0.1:9002"}\n',
        'holdfast.yaml:8: balancer.pools.web.backends[1].id: "a": duplicate id, first at backends[0]; '
        "give every backend of a pool its own id",
    ),
    "duplicate key": (
        HEAD + WEB + "  workers: 1\n  workers: 2\n",
        "holdfast.yaml:8: balancer.workers: duplicate key, first on line 7; keep one of them",
    ),
    "route to nowhere": (
        HEAD + WEB + "  routes:\n    - {pool: wep}\n",
        'holdfast.yaml:8: balancer.routes[0].pool: "wep": no such pool; configured pools: web',
    ),
    "two pools and no route": (
        HEAD + WEB + '    api: {backends: [{id: a, url: "http://127.0.0.1:9002"}]}\n',
        "holdfast.yaml:1: balancer.routes: 2 pools and no route; "
        "say which pool serves what, like `- {path: /api/, pool: NAME}`",
    ),
    "unset variable": (
        HEAD + WEB + "      hash_on: ${HOLDFAST_TEST_UNSET}\n",
        'holdfast.yaml:7: balancer.pools.web.hash_on: "${HOLDFAST_TEST_UNSET}": '
        "environment variable HOLDFAST_TEST_UNSET is not set; set it, or write ${HOLDFAST_TEST_UNSET:-default}",
    ),
    "stray dollar": (
        HEAD + WEB + "      hash_on: cookie:$sid\n",
        "holdfast.yaml:7: balancer.pools.web.hash_on: a stray $; write ${NAME} for a variable or $$ for a dollar sign",
    ),
    "bad URL": (
        HEAD + "  pools: {web: {backends: [{id: a, url: ftp://x}]}}\n",
        'holdfast.yaml:4: balancer.pools.web.backends[0].url: "ftp://x": not an http:// or https:// URL; '
        "write http://HOST:PORT or https://HOST:PORT",
    ),
    "bad listen address": (
        "balancer:\n  listen: ['localhost']\n  admin: null\n" + WEB,
        'holdfast.yaml:2: balancer.listen[0]: "localhost": not HOST:PORT; '
        "write HOST:PORT, [IPV6]:PORT or https://HOST:PORT; 0.0.0.0 and [::] mean every address",
    ),
    "damping that never suppresses": (
        HEAD + WEB + "      damping: {suppress: 30000}\n",
        'holdfast.yaml:7: balancer.pools.web.damping.suppress: "30000": '
        "can never suppress: the penalty is capped at 24000; "
        "lower suppress, raise max_suppress to 320s or more, or shorten half_life",
    ),
    "open admin plane": (
        "balancer:\n  listen: ['127.0.0.1:0']\n  admin: '0.0.0.0:0'\n" + WEB,
        'holdfast.yaml:3: balancer.admin: "0.0.0.0:0": reachable from other machines without a token; '
        "set admin_token: ${HOLDFAST_ADMIN_TOKEN}, or listen on 127.0.0.1",
    ),
    "foreign address": (
        "balancer:\n  listen: ['192.0.2.1:0']\n  admin: null\n" + WEB,
        'holdfast.yaml:2: balancer.listen[0]: "192.0.2.1:0": 192.0.2.1 is not an address of this machine; '
        "write one that `ip address` shows, or 0.0.0.0 or [::]",
    ),
    "alias": (
        HEAD + "  pools: &p {web: {}}\n",
        'holdfast.yaml:4: balancer.pools: "&p": an anchor, which Holdfast does not accept; write the value out',
    ),
    "tag": (
        HEAD + "  pools: !!python/object:os.system {}\n",
        'holdfast.yaml:4: balancer.pools: "tag:yaml.org,2002:python/object:os.system": '
        "a tag, which Holdfast does not accept; write the value out",
    ),
    "supervisor out of range": (
        HEAD + WEB + "supervisor: {restarts: -1}\n",
        'holdfast.yaml:7: supervisor.restarts: "-1": out of range; write a value from 0 to 1000',
    ),
    "unwritable access log": (
        HEAD + WEB + "  access_log: {path: missing/access.log}\n",
        'holdfast.yaml:7: balancer.access_log.path: "missing/access.log": cannot be written; '
        "create its directory, allow this user to write there, or write - for standard output",
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_a_mistake_is_one_line_with_place_value_and_remedy(refused: Refused, case: str) -> None:
    text, expected = LINES[case]
    assert refused(text) == [expected]


def test_every_mistake_is_told_at_once_in_file_order(refused: Refused) -> None:
    lines = refused(
        "balancer:\n  listen: [nowhere]\n  admin: null\n  workers: x\n  pools:\n    web:\n      timeout: 5\n"
        "      backends: [{id: a}]\n  routes: [{pool: wep}]\nsupervisor: {grace: soon}\n"
    )
    assert [line.split(": ")[0] for line in lines] == [f"holdfast.yaml:{n}" for n in (2, 4, 7, 8, 9, 10)]


def test_a_judgement_that_rests_on_a_broken_setting_is_held_back(refused: Refused) -> None:
    # With `interval` unreadable nobody knows whether `timeout` exceeds it.
    lines = refused(HEAD + WEB + "      health: {interval: x, timeout: 20s}\n")
    assert len(lines) == 1
    assert "health.interval" in lines[0]


def test_a_missing_pools_section_does_not_blame_the_routes(refused: Refused) -> None:
    lines = refused(HEAD + "  routes: [{pool: web}]\n")
    assert len(lines) == 1
    assert "balancer.pools: missing" in lines[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "holdfast.yaml: the file is empty; start with `balancer:`; docs/configuration.md has an example"),
        (
            b"# only words\n",
            "holdfast.yaml: the file is empty; start with `balancer:`; docs/configuration.md has an example",
        ),
        (
            b"- 1\n",
            "holdfast.yaml:1: not a section of KEY: VALUE lines; "
            "start with `balancer:`; docs/configuration.md has an example",
        ),
        (b"a: 1\n\xff\n", "holdfast.yaml:2: not UTF-8 at byte 5; save the file as UTF-8"),
        (
            b"balancer:\n  a: b: c\n",
            "holdfast.yaml:2: not YAML: mapping values are not allowed in this context; "
            "check indentation, colons and quotes",
        ),
        (b"a: 1\n---\nb: 2\n", "holdfast.yaml:2: a second YAML document; keep one document per file"),
        (
            b"a: {b: ${X}}\n",
            "holdfast.yaml:1: not YAML: while parsing a flow mapping: did not find expected ',' or '}'; "
            'quote references inside { } and [ ]: "${NAME}"',
        ),
        (b"#" * (2**20 + 1), "holdfast.yaml: larger than 1 MiB; this is hardly a configuration file"),
        (b"a: " + b"[" * 100, "holdfast.yaml:1: nested deeper than 24 levels; flatten it"),
        (b"? [a]\n: 1\n", "holdfast.yaml:1: a key that is not a plain text; write NAME: VALUE"),
    ],
)
def test_a_file_that_is_no_configuration_says_why(refused: Refused, text: bytes, expected: str) -> None:
    assert refused(text) == [expected]


def test_a_missing_file_says_so(refused: Refused) -> None:
    assert refused(None, "nowhere.yaml") == [
        "nowhere.yaml: cannot be read: no such file or directory; check the path and its permissions"
    ]


def test_a_directory_is_not_a_file(refused: Refused) -> None:
    assert refused(None, ".") == [".: cannot be read: is a directory; check the path and its permissions"]


def test_an_unreadable_file_says_so(refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.yaml").touch(mode=0o000)
    if os.geteuid() == 0:  # root reads everything, so the refusal of the kernel has to be played

        def forbidden(*_: object) -> NoReturn:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "open", forbidden)
    assert refused(None, "secret.yaml") == [
        "secret.yaml: cannot be read: permission denied; check the path and its permissions"
    ]


def test_a_billion_laughs_never_expand(refused: Refused) -> None:
    bomb = "a: &a [x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert refused(bomb) == ['holdfast.yaml:1: a: "&a": an anchor, which Holdfast does not accept; write the value out']


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_in_use_is_found_even_if_its_owner_would_share_it(refused: Refused, reuse_port: bool) -> None:
    with socket.socket() as owner:
        owner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(reuse_port))
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        port = owner.getsockname()[1]
        name = Path("/proc/self/comm").read_text().strip()
        for text, path in (
            (f"balancer:\n  listen: ['127.0.0.1:{port}']\n  admin: null\n{WEB}", "listen[0]"),
            (f"balancer:\n  admin: '127.0.0.1:{port}'\n  listen: ['127.0.0.1:0']\n{WEB}", "admin"),
        ):
            assert refused(text) == [
                f'holdfast.yaml:2: balancer.{path}: "127.0.0.1:{port}": port {port} is in use by '
                f"{name} (pid {os.getpid()}); stop that program or choose another port"
            ]


@pytest.mark.parametrize(
    ("listen", "admin", "expected"),
    [
        (
            "['127.0.0.1:8443', '127.0.0.1:8443']",
            "null",
            'balancer.listen[1]: "127.0.0.1:8443": the same address as listen[0]',
        ),
        ("['127.0.0.1:8443']", "'127.0.0.1:8443'", 'balancer.admin: "127.0.0.1:8443": the same address as listen[0]'),
        (
            "['0.0.0.0:8443', '127.0.0.1:8443']",
            "null",
            'balancer.listen[1]: "127.0.0.1:8443": the same address as listen[0]',
        ),
        ("['[::1]:8443', '[0::1]:8443']", "null", 'balancer.listen[1]: "[0::1]:8443": the same address as listen[0]'),
    ],
)
def test_one_address_twice_in_the_file_is_found(refused: Refused, listen: str, admin: str, expected: str) -> None:
    lines = refused(f"balancer:\n  listen: {listen}\n  admin: {admin}\n{WEB}")
    assert any(expected in line and line.endswith("give each its own port") for line in lines)


def test_a_literal_secret_is_never_shown(refused: Refused) -> None:
    lines = refused(HEAD + WEB + '  admin_token: "hunter2 hunter2"\n  workers: x\n')
    assert lines[0] == (
        "holdfast.yaml:7: balancer.admin_token: ***: not a bearer token; "
        "use letters, digits and - . _ ~ + / only, at least one"
    )
    assert "hunter2" not in "\n".join(lines)


def test_a_secret_from_the_environment_in_the_wrong_place_is_not_shown(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    lines = refused(HEAD + WEB + "  workers: ${DB_PASSWORD}\n      \n  trusted_proxies: ['${DB_PASSWORD}']\n")
    assert len(lines) == 2
    assert all(": ***: " in line for line in lines)
    assert "hunter2" not in "\n".join(lines)


def test_credentials_in_a_url_are_masked(refused: Refused) -> None:
    (line,) = refused(HEAD + '  pools: {web: {backends: [{id: a, url: "http://me:hunter2@127.0.0.1:1"}]}}\n')
    assert '"http://***@127.0.0.1:1": credentials in a URL' in line


def test_a_value_cannot_forge_a_line_of_its_own(refused: Refused) -> None:
    lines = refused(HEAD + WEB + '      hash_on: "x\\nholdfast.yaml:1: all is well \\e[2J\\u202e"\n')
    assert len(lines) == 1
    assert "\x1b" not in lines[0]
    assert "\u202e" not in lines[0]


def test_the_mask_that_check_prints_is_not_taken_as_a_token(refused: Refused) -> None:
    (line,) = refused(HEAD + WEB + '  admin_token: "***"\n')
    assert "the mask that `holdfast check` prints, not a token; set admin_token: ${HOLDFAST_ADMIN_TOKEN}" in line
