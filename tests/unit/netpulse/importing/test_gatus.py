from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.netpulse.core.importing import Imported, read_gatus
from holdfast.netpulse.core.settings import SimpleRule
from holdfast.netpulse.errors import Invalid
from tests.unit.netpulse.importing.reading import about, assert_tells_no_secret, loaded, said, sample


def endpoint(conditions: str, *, url: str = "https://a.example.com", more: str = "") -> Imported:
    return read_gatus(f"endpoints:\n- name: a\n  url: {url}\n  {more}\n  conditions: {conditions}\n", "gatus.yaml")


def test_a_whole_configuration_is_read_by_our_own_loader(tmp_path: Path) -> None:
    found = read_gatus(sample("gatus.yaml"), "gatus.yaml")
    monitors = loaded(found, tmp_path, REGION="eu").monitors

    assert list(monitors) == [
        "front-page", "api-health", "search", "postgres", "bastion", "gateway", "name-server", "mail-certificate",
        "chat", "nightly-backup",
    ]  # fmt: skip
    front = monitors["front-page"]
    assert front.http is not None
    assert (front.name, front.group, float(front.interval)) == ("Front page", "core", 30.0)
    assert front.http.status == ("200",)
    assert front.http.contains == "<h1>Welcome</h1>"
    assert float(front.http.max_time) == 0.5
    assert front.http.cert_days == 2
    api = monitors["api-health"].http
    assert api is not None
    assert (api.method, api.verify, api.redirects, api.status) == ("POST", False, 0, ("2xx",))
    assert (api.jsonpath, api.equals) == ("$.status", "UP")
    assert api.headers == {"Authorization": "value-of-api-health-authorization", "X-Region": "eu"}
    search = monitors["search"].http
    assert search is not None
    assert (search.url, search.username, search.status) == (
        "https://search.example.com/_cluster/health", "elastic", ("200", "429"),
    )  # fmt: skip
    assert monitors["postgres"].tcp is not None
    assert monitors["postgres"].allow_private
    assert monitors["bastion"].tcp is not None
    assert monitors["bastion"].tcp.expect == "SSH-"
    server = monitors["name-server"].dns
    assert server is not None
    assert (server.resolver, server.expect) == ("9.9.9.9", ("93.184.215.14",))
    chat = monitors["chat"]
    assert chat.paused
    assert chat.websocket is not None
    assert chat.websocket.expect == "pong"
    backup = monitors["nightly-backup"].heartbeat
    assert backup is not None
    assert float(backup.period) == 25 * 3600


def test_no_secret_is_printed_and_each_has_a_variable_with_its_place() -> None:
    found = read_gatus(sample("gatus.yaml"), "gatus.yaml")
    assert_tells_no_secret(found)
    places = {each.name: each.place for each in found.references}
    assert places["API_HEALTH_AUTHORIZATION"] == "endpoints[1].headers.Authorization"
    assert places["SEARCH_PASSWORD"] == "endpoints[2].url"
    assert "REGION" in places


def test_every_part_that_is_lost_is_said_with_its_place_and_why() -> None:
    found = read_gatus(sample("gatus.yaml"), "gatus.yaml")
    assert about(found, "[IP]").startswith('dropped: endpoints[1].conditions[4] "API health": [IP] == 192.0.2.7:')
    assert "a second condition on jsonpath" in about(found, "len([BODY].nodes)")
    assert about(found, "starttls").startswith('refused: endpoints[8] "Mail":')
    assert "alerting.slack" in about(found, "write a channel for slack")
    assert about(found, "maintenance").startswith("dropped: maintenance:")
    assert about(found, "--keep-rules").endswith("(2 monitors)")


def test_thresholds_become_rules_when_they_are_asked_for(tmp_path: Path) -> None:
    found = read_gatus(sample("gatus.yaml"), "gatus.yaml", keep_rules=True)
    monitors = loaded(found, tmp_path).monitors
    assert monitors["front-page"].rule == SimpleRule(regions=1, in_a_row=5)
    assert monitors["postgres"].rule is None
    assert any("recovers after 5 successes in a row, not 3" in line for line in said(found))


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ('["[CONNECTED] == true"]', ("100-599",)),
        ('["[STATUS] == 200"]', ("200",)),
        ('["200 == [STATUS]"]', ("200",)),
        ('["[STATUS] < 400"]', ("100-399",)),
        ('["[STATUS] >= 200", "[STATUS] < 300"]', ("2xx",)),
        ('["[STATUS] != 500", "[STATUS] >= 500"]', ("501-599",)),
        ('["[STATUS] == any(200, 201, 301)"]', ("200-201", "301")),
        ('["[STATUS] == pat(2*)"]', ("2xx",)),
    ],
)
def test_conditions_about_the_status_are_one_set_of_codes(
    conditions: str, status: tuple[str, ...], tmp_path: Path
) -> None:
    check = loaded(endpoint(conditions), tmp_path).monitors["a"].http
    assert check is not None
    assert check.status == status


@pytest.mark.parametrize(
    ("condition", "setting", "value"),
    [
        ("[BODY].data.items[0].state == up", "jsonpath", "$.data.items[0].state"),
        ("[BODY][0].id == 7", "jsonpath", "$[0].id"),
        ("[BODY].user-name == x", "jsonpath", "$['user-name']"),
        ("[BODY].checks.cache:ping[0].status == pass", "jsonpath", "$.checks['cache:ping'][0].status"),
        ("len([BODY].items) > 4", "jsonpath", "$.items[4]"),
        ("len([BODY].items) >= 1", "jsonpath", "$.items[0]"),
        ("has([BODY].id) == true", "jsonpath", "$.id"),
        ("[BODY] == pat(*all is well*)", "contains", "all is well"),
        ("[BODY] == pat(up*)", "regex", r"(?s)\Aup.*\Z"),
        ("[BODY] == OK", "regex", r"\AOK\Z"),
        ("[RESPONSE_TIME] < 1s", "max_time", 1.0),
        ("[CERTIFICATE_EXPIRATION] > 36h", "cert_days", 2),
    ],
)
def test_a_condition_with_a_counterpart_becomes_a_setting(
    condition: str, setting: str, value: object, tmp_path: Path
) -> None:
    check = loaded(endpoint(f'["{condition}"]'), tmp_path).monitors["a"].http
    assert getattr(check, setting) == value


@pytest.mark.parametrize(
    "condition",
    [
        "[BODY].a != b", "[BODY].a == any(b, c)", "[BODY].items[*].ok == true", "has([BODY].errors) == false",
        "len([BODY]) < 9", "[DOMAIN_EXPIRATION] > 720h", "[CONNECTED] == false", "[STATUS] == up", "[NEW].thing == 1",
        "whatever", "[STATUS]==200", "[CONTEXT].id == 1", "[STATUS] == pat(2**************)",
    ],
)  # fmt: skip
def test_a_condition_without_a_counterpart_is_dropped_and_said(condition: str) -> None:
    found = endpoint(f'["[STATUS] == 200", "{condition}"]')
    assert about(found, "conditions[1]").startswith("dropped: endpoints[0].conditions[1]")


def test_conditions_that_contradict_each_other_refuse_the_endpoint() -> None:
    with pytest.raises(Invalid, match="contradict each other"):
        endpoint('["[STATUS] == 200", "[STATUS] == 201"]')


def test_a_pattern_that_our_rules_refuse_is_dropped_and_the_monitor_stays(tmp_path: Path) -> None:
    found = endpoint(f'["[BODY] == {"x" * 600}"]')
    assert loaded(found, tmp_path).monitors["a"].http is not None
    assert "the body is not searched" in about(found, "http.regex")


def test_variables_stay_variables_and_dollars_stay_dollars(tmp_path: Path) -> None:
    found = endpoint('["[BODY] == pat(*$$5*)"]', url="https://${DOMAIN}:$PORT/x")
    check = loaded(found, tmp_path, DOMAIN="d.example.com", PORT="8443").monitors["a"].http
    assert check is not None
    assert check.contains == "$5"
    assert check.url == "https://d.example.com:8443/x"
    assert [each.name for each in found.references] == ["DOMAIN", "PORT"]
    check = loaded(endpoint('["[BODY] == pat($$5 for ${WHO}*)"]'), tmp_path, WHO="you").monitors["a"].http
    assert check is not None
    assert check.regex == r"(?s)\A\$5\ for\ you.*\Z"


def test_names_that_are_the_same_or_strange_get_ids_of_their_own(tmp_path: Path) -> None:
    text = "endpoints:\n" + "".join(
        f'- {{name: "{name}", group: {group}, url: "https://a.example.com"}}\n'
        for name, group in (
            ("API", "eu"),
            ("api", "us"),
            ("Api", "us"),
            ("日本", "eu"),
            ("../../etc", "eu"),
            ("x" * 300, "eu"),
        )
    )
    found = read_gatus(text, "gatus.yaml")
    assert list(loaded(found, tmp_path).monitors) == ["api", "us-api", "api-2", "endpoints-3", "etc", "x" * 60]


def test_control_characters_of_a_name_reach_neither_terminal_nor_file() -> None:
    found = read_gatus(
        'endpoints: [{name: "a\\e[2J\\nb", url: "udp://x:1"}, {name: b, url: "tcp://b.example.com:1"}]', "f"
    )
    assert about(found, "udp") == (
        'refused: endpoints[0] "a [2J b": udp:// has no counterpart: only a program knows whether a datagram arrived'
    )


def test_a_value_of_the_wrong_kind_refuses_its_endpoint_and_no_other() -> None:
    found = read_gatus("endpoints: [{name: a, url: [x]}, {name: b, url: 'tcp://b.example.com:1'}, 7]", "gatus.yaml")
    assert list(found.section["monitors"]) == ["b"]
    assert about(found, "a list where") == 'refused: endpoints[0].url "a": a list where a text belongs'
    assert about(found, "endpoints[2]") == "refused: endpoints[2]: a single value where a map belongs"


def test_what_a_secret_part_of_the_body_has_to_be_is_not_printed(tmp_path: Path) -> None:
    found = endpoint('["[BODY].api_token == s3cr3t", "[BODY].password != s3cr3t"]')
    check = loaded(found, tmp_path).monitors["a"].http
    assert check is not None
    assert check.equals == "value-of-a-expected-secret"
    assert "[BODY].password != ***" in about(found, "conditions[1]")
    assert_tells_no_secret(found)


def test_no_secret_takes_the_name_of_a_variable_that_the_file_refers_to() -> None:
    text = """
endpoints:
- {name: a, url: "https://u:s3cr3t@a.example.com"}
- {name: b, url: "https://b.example.com", headers: {Authorization: "Bearer ${A_PASSWORD}"}}
"""
    found = read_gatus(text, "gatus.yaml")
    assert [each.name for each in found.references] == ["A_2_PASSWORD", "A_PASSWORD"]


def test_a_secret_of_a_refused_endpoint_is_listed_by_the_next_that_carries_it(tmp_path: Path) -> None:
    headers = "headers: {Authorization: Bearer s3cr3t}"
    text = (
        f"endpoints:\n- {{name: a, url: 'http://', {headers}}}\n- {{name: b, url: 'http://b.example.com', {headers}}}\n"
    )
    found = read_gatus(text, "gatus.yaml")
    assert [each.name for each in found.references] == ["B_AUTHORIZATION"]
    loaded(found, tmp_path)


def test_a_key_that_is_not_known_is_said() -> None:
    assert about(endpoint("[]", more="intervall: 5s"), "intervall") == (
        'dropped: endpoints[0].intervall "a": not known here'
    )
