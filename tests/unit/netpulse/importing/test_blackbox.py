from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.netpulse.core.importing import Imported, read_blackbox
from holdfast.netpulse.errors import Invalid
from tests.unit.netpulse.importing.reading import about, assert_tells_no_secret, loaded, said, sample


def whole() -> Imported:
    return read_blackbox(sample("blackbox.yml"), "blackbox.yml", sample("prometheus.yml"), "prometheus.yml")


def probing(module: str, target: str) -> Imported:
    jobs = (
        "scrape_configs: [{job_name: j, metrics_path: /probe, params: {module: [m]}, "
        f"static_configs: [{{targets: ['{target}']}}]}}]"
    )
    return read_blackbox(f"modules: {{m: {module}}}", "blackbox.yml", jobs, "prometheus.yml")


def test_modules_and_targets_together_are_read_by_our_own_loader(tmp_path: Path) -> None:
    monitors = loaded(whole(), tmp_path).monitors

    assert list(monitors) == [
        "www.example.com", "api.example.com-health", "10.0.0.7-8080", "login.example.com", "bastion.example.com-22",
        "mail.example.com-465", "gw.example.com", "9.9.9.9", "orders.example.com-50051", "billing.example.com",
    ]  # fmt: skip
    front = monitors["www.example.com"]
    assert front.http is not None
    assert (front.group, front.tags, float(front.interval), float(front.timeout)) == ("web", {"team": "web"}, 15.0, 5.0)
    assert front.http.redirects == 10
    api = monitors["api.example.com-health"].http
    assert api is not None
    assert api.url == "http://api.example.com/health"
    login = monitors["login.example.com"]
    assert login.http is not None
    assert (login.http.method, login.http.redirects, login.http.verify) == ("POST", 0, False)
    assert login.http.status == ("200-202", "404")
    assert login.http.headers == {"Accept": "application/json"}
    assert float(login.timeout) == 9.5
    assert monitors["bastion.example.com-22"].tcp is not None
    assert monitors["bastion.example.com-22"].tcp.expect == "SSH-2.0-"
    assert monitors["mail.example.com-465"].tls is not None
    assert monitors["gw.example.com"].icmp is not None
    name = monitors["9.9.9.9"].dns
    assert name is not None
    assert (name.name, name.type, name.resolver) == ("example.com", "MX", "9.9.9.9")
    orders = monitors["orders.example.com-50051"].grpc
    assert orders is not None
    assert (orders.service, orders.tls) == ("orders.v1.Orders", True)
    billing = monitors["billing.example.com"].http
    assert billing is not None
    assert billing.bearer_token == "value-of-billing-example-com-token"


def test_patterns_of_a_module_are_one_that_holds_when_all_of_them_do(tmp_path: Path) -> None:
    check = loaded(whole(), tmp_path).monitors["login.example.com"].http
    assert check is not None
    assert re.search(check.regex, '{"user": 1,\n"session": 2}')
    assert not re.search(check.regex, 'x {"session": 2}')
    assert not re.search(check.regex, '{"user": 1}')
    assert not re.search(check.regex, '{"session": 2, "error": "FATAL"}')


def test_no_secret_is_printed() -> None:
    assert_tells_no_secret(whole())
    assert [each.place for each in whole().references] == [
        "modules.http_login.http.basic_auth.password",
        "modules.http_bearer.http.authorization.credentials",
    ]


def test_what_is_not_taken_over_is_said_once_with_its_place_and_why() -> None:
    found = whole()
    assert about(found, "twice in this job").startswith("dropped: scrape_configs[1].static_configs[1].targets[1]")
    assert about(found, "http_2xx.http.preferred_ip_protocol").startswith("dropped: modules.http_2xx")
    assert about(found, "fail_if_header_not_matches").startswith("dropped: modules.http_login")
    assert about(found, "validate_answer_rrs").startswith("dropped: modules.dns_example")
    assert about(found, "http_gone").startswith('refused: scrape_configs[3].static_configs[6].targets[0] "ghost')
    assert about(found, "kubernetes_sd_configs").startswith("refused: scrape_configs[4]")
    assert about(found, "rules are not run").startswith("dropped: scrape_configs[3].relabel_configs[2]")
    assert about(found, "tcp_connect").startswith("note: modules.tcp_connect")
    assert not any("node.example.com" in line for line in said(found))


@pytest.mark.parametrize(
    ("module", "target", "words"),
    [
        ("{prober: http, http: {fail_if_not_ssl: true}}", "a.example.com", "write https:// in the target"),
        ("{prober: http, http: {fail_if_ssl: true}}", "a.example.com", "over TLS is well, too"),
        ("{prober: http, http: {proxy_url: 'http://me:s3cr3t@proxy:1'}}", "a.example.com", "no such setting"),
        ("{prober: http, http: {oauth2: {client_secret: s3cr3t}}}", "a.example.com", "no such setting"),
        (
            "{prober: http, http: {tls_config: {cert_file: c, min_version: TLS12}}}",
            "https://a.example.com",
            "client cert",
        ),
        ("{prober: tcp, tcp: {query_response: [{expect: '^2[0-9]+'}]}}", "a.example.com:25", "not with a pattern"),
        (
            "{prober: tcp, tcp: {query_response: [{expect: '^220 '}, {starttls: true}]}}",
            "a.example.com:25",
            "TLS inside",
        ),
        (
            "{prober: tcp, tcp: {tls: true, tls_config: {insecure_skip_verify: true}}}",
            "a.example.com:1",
            "always judges",
        ),
        ("{prober: dns, dns: {query_name: example.com}}", "9.9.9.9", "RFC 8482"),
    ],
)
def test_a_part_that_is_lost_or_changed_is_said_and_the_monitor_stays(
    module: str, target: str, words: str, tmp_path: Path
) -> None:
    found = probing(module, target)
    assert about(found, words)
    assert_tells_no_secret(found)
    assert len(loaded(found, tmp_path).monitors) == 1


@pytest.mark.parametrize(
    ("module", "target", "words"),
    [
        ("{prober: unix}", "a.example.com", "the prober unix has no counterpart"),
        ("{}", "a.example.com", "has no counterpart"),
        ("{prober: http, timeout: soon}", "a.example.com", 'modules.m.timeout "a.example.com": not a duration'),
        ("{prober: http, http: {headers: 7}}", "a.example.com", "a single value where a map belongs"),
        (
            "{prober: http, http: {valid_status_codes: [ok]}}",
            "a.example.com",
            r"valid_status_codes\[0\] .*: not a whole number",
        ),
        ("{prober: dns, dns: {query_name: example.com}}", "dns.example.com", "the resolver is a name"),
        (
            "{prober: dns, dns: {query_name: example.com, query_type: A, valid_rcodes: [NXDOMAIN]}}",
            "9.9.9.9",
            "only an answer",
        ),
        ("{prober: tcp}", "no-port", "not HOST:PORT"),
        ("{prober: icmp}", "two words", "not a host"),
    ],
)
def test_a_target_that_cannot_be_asked_is_refused_with_the_reason(module: str, target: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        probing(module, target)


def test_what_is_lost_of_a_module_is_said_once_for_all_of_its_targets() -> None:
    found = probing("{prober: http, http: {compression: gzip}}", "https://a.example.com', 'https://b.example.com")
    assert about(found, "compression") == (
        "dropped: modules.m.http.compression: the probe has no such setting (2 monitors)"
    )


def test_credentials_in_a_target_are_neither_in_its_name_nor_in_its_id(tmp_path: Path) -> None:
    found = probing("{prober: http}", "https://me:s3cr3t@a.example.com/x?token=s3cr3t")
    assert_tells_no_secret(found)
    assert list(loaded(found, tmp_path).monitors) == ["a.example.com-x"]
    with pytest.raises(Invalid) as caught:
        probing("{prober: unix}", "me:s3cr3t@a.example.com")
    assert "s3cr3t" not in str(caught.value)


def test_a_password_in_a_file_becomes_a_variable_that_names_the_file_by_its_place(tmp_path: Path) -> None:
    found = probing(
        "{prober: http, http: {basic_auth: {username: u, password_file: /run/pw}}}", "https://a.example.com"
    )
    (reference,) = found.references
    assert (reference.name, reference.place) == ("A_EXAMPLE_COM_PASSWORD", "modules.m.http.basic_auth.password_file")
    loaded(found, tmp_path)


@pytest.mark.parametrize(
    ("modules", "jobs", "words"),
    [
        ("{}", "scrape_configs: []", "blackbox.yml: not a configuration of blackbox_exporter"),
        ("modules: []", "scrape_configs: []", "blackbox.yml: modules: a list where a map belongs"),
        ("modules: {}", "{}", "prometheus.yml: not a configuration of Prometheus"),
        ("modules: {}", "scrape_configs: 1", "prometheus.yml: scrape_configs: a single value where a list"),
        ("modules: {}", "scrape_configs: []", "no monitor could be taken over"),
        ("modules: {a: {}, a: {}}", "scrape_configs: []", "blackbox.yml: line 1: modules.a: a duplicate key"),
        ("modules: {a: !!python/none {}}", "scrape_configs: []", "the tag tag:yaml.org,2002:python/none"),
        ("modules: {", "scrape_configs: []", "blackbox.yml: line 2: not YAML"),
        ("modules: {}\n---\nmodules: {}", "scrape_configs: []", "a second YAML document"),
        ("modules: " + "[" * 5000, "scrape_configs: []", "nested deeper than 64 levels"),
        ("modules: *never", "scrape_configs: []", "stands for nothing"),
        ("modules: &m {a: *m}", "scrape_configs: []", "or for itself"),
        ("modules: {[a, b]: 1}", "scrape_configs: []", "a key that is not a text"),
    ],
)
def test_what_is_no_configuration_is_an_error_that_names_the_place(modules: str, jobs: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        read_blackbox(modules, "blackbox.yml", jobs, "prometheus.yml")


def test_aliases_of_aliases_are_counted_as_what_they_stand_for() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(Invalid, match="more than 200000 values, aliases written out"):
        read_blackbox("\n".join(lines), "blackbox.yml", "scrape_configs: []", "prometheus.yml")


def test_a_job_with_a_value_of_the_wrong_kind_is_refused_and_the_others_stay() -> None:
    jobs = (
        "scrape_configs: [{job_name: bad, metrics_path: /probe, scrape_interval: soon, "
        "static_configs: [{targets: [a]}]}, "
        "{job_name: good, metrics_path: /probe, static_configs: [{targets: ['https://b.example.com']}]}]"
    )
    found = read_blackbox("modules: {http_2xx: {prober: http}}", "blackbox.yml", jobs, "prometheus.yml")
    assert list(found.section["monitors"]) == ["b.example.com"]
    assert about(found, "not a duration").startswith("refused: scrape_configs[0].scrape_interval")
