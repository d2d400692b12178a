"""What a sound file becomes, and what `check` makes of it again."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import trustme
import yaml

from holdfast.app.config import READ_BY, Loaded, load
from holdfast.app.diagnostics import ConfigError, dotted
from holdfast.app.effective import effective, render
from holdfast.app.settings import Config
from holdfast.balancer.core.settings import BackendSettings, BalancerSettings, PoolSettings
from holdfast.cli.main import SERVICES

MINIMAL = 'balancer:\n  pools: {web: {backends: [{id: a, url: "http://127.0.0.1:9001"}]}}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "holdfast.yaml"


def loaded(file: Path, text: str, **environ: str) -> Loaded:
    file.write_text(text)
    return load(file, environ=environ, ports=False)


def balancer(file: Path, text: str, **environ: str) -> BalancerSettings:
    section = loaded(file, text, **environ).config.balancer
    assert section is not None
    return section


def problems(file: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        loaded(file, text)
    assert refused.value.exit_code == 2
    return [f"{d.line}: {dotted(d.path)}: {d.message}" for d in refused.value.diagnostics]


def test_a_list_of_backends_is_enough(file: Path) -> None:
    expected = PoolSettings(backends=(BackendSettings(id="a", url="http://127.0.0.1:9001"),))
    assert loaded(file, MINIMAL).config == Config(balancer=BalancerSettings(pools={"web": expected}))


def test_the_setting_decides_how_a_value_is_read(file: Path) -> None:
    text = 'balancer:\n  pools: {"1": {backends: [{id: no, url: "http://127.0.0.1:9001", weight: 2}]}}\n'
    (backend,) = balancer(file, text).pools["1"].backends
    assert backend == BackendSettings(id="no", url="http://127.0.0.1:9001", weight=2.0)


def test_variables_are_replaced_in_values_of_any_type(file: Path) -> None:
    text = (
        MINIMAL
        + '  workers: ${N}\n  drain_timeout: "${T:-7}s"\n  admin: 127.0.0.1:${P:-9000}\n  admin_token: a$$b${E:-}\n'
    )
    with pytest.raises(ConfigError, match="not a bearer token"):
        balancer(file, text, N="3", P="")
    section = balancer(file, text.replace("$$", ""), N="3", P="")
    assert (section.workers, section.drain_timeout, section.admin) == (3, 7.0, "127.0.0.1:9000")
    assert section.admin_token == "ab"


def test_a_variable_cannot_add_keys(file: Path) -> None:
    text = MINIMAL.replace("id: a", "id: '${X}'")
    with pytest.raises(ConfigError, match=r'"\$\{X\}" is "a, weight: 7": not a name'):
        balancer(file, text, X="a, weight: 7")


def test_an_empty_section_means_its_defaults(file: Path) -> None:
    text = (
        "balancer:\n  admin: null\n  timeouts:\n  pools:\n    web:\n"
        "      health:\n      backends:\n        - {id: a, url: 'http://[::1]:1'}\n"
    )
    section = balancer(file, text)
    assert section.pools["web"].health == PoolSettings().health
    assert section.admin is None


def test_a_byte_order_mark_is_no_part_of_the_first_key(file: Path) -> None:
    assert balancer(file, "\ufeff" + MINIMAL).workers == 2


EVERYTHING = """
balancer:
  listen: ["127.0.0.1:8080", "[::1]:8080"]
  admin: 127.0.0.1:8081
  admin_token: ${HOLDFAST_ADMIN_TOKEN}
  workers: 4
  trusted_proxies: [10.0.0.0/8, "2001:db8::/32"]
  limits: {body: 10MiB}
  pools:
    web:
      strategy: consistent_hash
      hash_on: "header:X-$$Tenant"  # a dollar sign is a legal, if odd, part of a header name
      backends: [{id: "null", url: "http://127.0.0.1:9001", weight: 0.5}]
      health: {expect: [200, 204], interval: 1500ms}
      retry: {statuses: []}
    api:
      discovery: {dns: "api.internal:80", min_interval: 1500ms}
  routes:
    - {host: "*.example.com", path: /api/, pool: api, strip_prefix: true}
    - {pool: web}
supervisor: {window: 90s}
"""


def test_what_check_prints_reads_back_as_the_same_configuration(file: Path) -> None:
    first = loaded(file, EVERYTHING, HOLDFAST_ADMIN_TOKEN="s3cret")
    printed = render(first)
    assert loaded(file, printed, HOLDFAST_ADMIN_TOKEN="s3cret").config == first.config
    assert render(loaded(file, printed, HOLDFAST_ADMIN_TOKEN="s3cret")) == printed


def test_a_token_from_the_environment_is_printed_as_its_variable(file: Path) -> None:
    first = loaded(file, EVERYTHING, HOLDFAST_ADMIN_TOKEN="s3cret")
    assert effective(first)["balancer"]["admin_token"] == "${HOLDFAST_ADMIN_TOKEN}"
    assert "s3cret" not in render(first)


@pytest.mark.parametrize("token", ["s3cret", "${T:-s3cret}", "s3${T}"])
def test_a_token_in_the_file_is_masked(file: Path, token: str) -> None:
    printed = render(loaded(file, f"{MINIMAL}  admin_token: {token}\n", T="cret"))
    assert yaml.safe_load(printed)["balancer"]["admin_token"] == "***"


GATEWAY = """\
gateway:
  providers:
    openai: {key: "${OPENAI_API_KEY}", headers: {x-team: hunter2}, query: {code: hunter2}}
    house: {protocol: openai, url: "https://models.example.com/v1", key: hunter2}
  models:
    fast:
      deployments:
        - {provider: openai, model: gpt-4o-mini, bytes_per_token: 4.2}
        - {provider: house, model: llama, tier: 1, price: {input: 0.1, output: 0.4}}
  timeouts: {first_token: 20s}
  limits: {tenants: {acme: {monthly_usd: 100, models: [fast, "claude-*"]}}}
  guardrails: {default: {secrets: redact}}
  tools:
    weather:
      description: The weather at a place
      input:
        type: object
        properties:
          token: {type: string}
          days: {type: [integer, "null"], maximum: 7, default: null}
          "on": {const: 1.5}
        required: [token]
        additionalProperties: false
      http: {url: "https://tools.example.com/weather", headers: {authorization: hunter2}}
  mcp: {files: {command: [mcp-files], environment: {FILES: hunter2}}}
  execution: {key: hunter2}
  traces: {endpoint: "http://127.0.0.1:4318", headers: {x-team: hunter2}}
"""


def test_a_json_schema_is_read_as_yaml_says_it(file: Path) -> None:
    gateway = loaded(file, GATEWAY, OPENAI_API_KEY="hunter2").config.gateway
    assert gateway is not None
    assert gateway.tools["weather"].input == {
        "type": "object",
        "properties": {
            "token": {"type": "string"},
            "days": {"type": ["integer", "null"], "maximum": 7, "default": None},
            "on": {"const": 1.5},
        },
        "required": ["token"],
        "additionalProperties": False,
    }


def test_what_opens_a_provider_or_a_tool_is_never_printed(file: Path) -> None:
    first = loaded(file, GATEWAY, OPENAI_API_KEY="hunter2")
    assert "hunter2" not in render(first)
    printed = effective(first)["gateway"]
    assert printed["providers"]["openai"]["key"] == "${OPENAI_API_KEY}"
    assert printed["providers"]["house"]["key"] == "***"


def test_the_masks_of_a_printed_file_are_refused_where_a_provider_would_be_asked_with_them(file: Path) -> None:
    printed = render(loaded(file, GATEWAY, OPENAI_API_KEY="hunter2"))
    found = problems(file, printed.replace("${OPENAI_API_KEY}", "k"))
    assert len(found) == 7
    assert all(line.endswith("the mask that `holdfast check` prints, not a secret") for line in found)


def test_what_only_sounds_like_a_secret_is_printed(file: Path) -> None:
    printed = effective(loaded(file, GATEWAY, OPENAI_API_KEY="hunter2"))["gateway"]
    assert printed["timeouts"]["first_token"] == "20s"
    assert printed["guardrails"]["default"]["secrets"] == "redact"
    assert printed["tools"]["weather"]["input"]["properties"]["token"] == {"type": "string"}
    assert printed["models"]["fast"]["deployments"][0]["bytes_per_token"] == 4.2


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ca.pem, a.pem and a.key, b.pem and b.key."""
    directory = tmp_path_factory.mktemp("pki")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    for name in ("a", "b"):
        leaf = authority.issue_cert(f"{name}.example")
        leaf.cert_chain_pems[0].write_to_path(str(directory / f"{name}.pem"))
        leaf.private_key_pem.write_to_path(str(directory / f"{name}.key"))
    (directory / "junk").write_text("no PEM\n")
    return directory


def tls(cert: Path | str, key: Path | str) -> str:
    return f"{MINIMAL}  listen: ['https://127.0.0.1:8443']\n  certificates:\n    - {{cert: {cert}, key: {key}}}\n"


def test_a_matching_certificate_and_key_are_accepted(file: Path, pki: Path) -> None:
    assert balancer(file, tls(pki / "a.pem", pki / "a.key")).certificates[0].cert == str(pki / "a.pem")


@pytest.mark.parametrize(
    ("cert", "key", "expected"),
    [
        ("a.pem", "b.key", ["5: balancer.certificates[0].key: does not belong to the certificate {pki}/a.pem"]),
        ("gone", "a.key", ["5: balancer.certificates[0].cert: cannot be read: no such file or directory"]),
        (
            "gone",
            "away",
            [
                "5: balancer.certificates[0].cert: cannot be read: no such file or directory",
                "5: balancer.certificates[0].key: cannot be read: no such file or directory",
            ],
        ),
        ("junk", "a.key", ["5: balancer.certificates[0].cert: not a certificate in PEM format"]),
        ("a.pem", "junk", ["5: balancer.certificates[0].key: not a private key in PEM format, or encrypted"]),
    ],
)
def test_an_unusable_certificate_or_key_is_named(
    file: Path, pki: Path, cert: str, key: str, expected: list[str]
) -> None:
    assert problems(file, tls(pki / cert, pki / key)) == [line.format(pki=pki) for line in expected]


@pytest.mark.parametrize(
    ("ca", "message"),
    [("junk", "not certificates in PEM format"), ("gone", "cannot be read: no such file or directory")],
)
def test_an_unusable_authority_is_named(file: Path, pki: Path, ca: str, message: str) -> None:
    text = MINIMAL.replace("backends:", f"tls: {{ca: {pki / ca}}}, backends:")
    assert problems(file, text) == [f"2: balancer.pools.web.tls.ca: {message}"]


def test_loading_changes_no_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text("old\n")
    loaded(file, f"{MINIMAL}  access_log: {{path: {tmp_path / 'access.log'}}}\n")
    assert (tmp_path / "access.log").read_text() == "old\n"
    assert stat.S_ISREG(file.stat().st_mode)


SHARED = """
balancer:
  pools: {web: {backends: [{id: a, url: "${UPSTREAM_URL}"}]}}
gateway:
  providers: {openai: {protocol: openai, key: "${OPENAI_API_KEY}"}}
  models: {demo: {deployments: [{provider: openai, model: gpt}]}}
store: {url: "${STORE_URL}"}
"""


@pytest.mark.parametrize(
    ("service", "environ"),
    [
        ("balancer", {"UPSTREAM_URL": "http://127.0.0.1:9001"}),
        ("gateway", {"OPENAI_API_KEY": "k", "STORE_URL": "postgresql://h/d"}),
    ],
)
def test_a_service_needs_the_variables_of_what_it_reads_and_no_others(
    file: Path, service: str, environ: dict[str, str]
) -> None:
    file.write_text(SHARED)
    assert load(file, environ=environ, ports=False, service=service).config.balancer is not None
    for name in environ:
        with pytest.raises(ConfigError, match=f"environment variable {name} is not set"):
            load(
                file,
                environ={key: value for key, value in environ.items() if key != name},
                ports=False,
                service=service,
            )


def test_whoever_runs_all_of_a_file_needs_all_of_its_variables(file: Path) -> None:
    assert len([one for one in problems(file, SHARED) if "is not set" in one]) == 3


def test_an_agent_needs_no_secret_of_a_channel(file: Path) -> None:
    file.write_text(
        'netpulse:\n  regions: {eu: {}}\n  channels: {pager: {webhook: {url: "https://p.test/", secret: "${PAGER}"}}}\n'
    )
    assert load(file, environ={}, ports=False, service="agent").config.netpulse is not None
    with pytest.raises(ConfigError, match="PAGER is not set"):
        load(file, environ={}, ports=False, service="netpulse")


def test_every_service_that_can_be_run_says_what_it_reads() -> None:
    assert set(READ_BY) == {*SERVICES, "agent"}
