from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.netpulse.core.importing import Imported, read_uptime_kuma
from holdfast.netpulse.core.settings import HttpCheck, SimpleRule
from holdfast.netpulse.errors import Invalid
from tests.unit.netpulse.importing.reading import about, assert_tells_no_secret, loaded, said, sample


def backup(*monitors: dict[str, Any], **more: Any) -> Imported:
    return read_uptime_kuma(json.dumps({"monitorList": list(monitors), **more}), "kuma.json")


def web(**fields: Any) -> dict[str, Any]:
    return {
        "id": 1, "name": "web", "type": "http", "url": "https://web.example.com", "interval": 60, "active": True,
        "accepted_statuscodes": ["200-299"], **fields,
    }  # fmt: skip


def http_of(found: Imported, tmp_path: Path) -> HttpCheck:
    check = loaded(found, tmp_path).monitors["web"].http
    assert check is not None
    return check


def test_a_whole_backup_is_read_by_our_own_loader(tmp_path: Path) -> None:
    found = read_uptime_kuma(sample("kuma.json"), "kuma.json")
    monitors = loaded(found, tmp_path).monitors

    assert list(monitors) == [
        "website", "login-api", "no-error-page", "postgres-port", "gateway", "name", "nightly-backup", "orders",
        "website-2",
    ]  # fmt: skip
    site = monitors["website"]
    assert site.http is not None
    assert (site.group, site.tags, site.rule) == ("Production", {"owner": "web team"}, None)
    assert (float(site.interval), float(site.timeout)) == (60.0, 48.0)
    assert (site.http.status, site.http.redirects, site.http.cert_days) == (("2xx", "301"), 10, 14)
    login = monitors["login-api"].http
    assert login is not None
    assert (login.method, login.username, login.verify, login.redirects) == ("POST", "probe", False, 0)
    assert (login.jsonpath, login.equals) == ("$.data.status", "ok")
    assert login.url == "https://api.example.com/health?token=value-of-login-api-token"
    assert login.headers["Content-Type"] == "application/json"
    page = monitors["no-error-page"]
    assert page.allow_private
    assert monitors["postgres-port"].tcp is not None
    assert monitors["gateway"].paused
    name = monitors["name"].dns
    assert name is not None
    assert (name.type, name.resolver) == ("AAAA", "1.1.1.1")
    backup_job = monitors["nightly-backup"].heartbeat
    assert backup_job is not None
    assert (float(backup_job.period), float(backup_job.grace)) == (86_400.0, 1_800.0)
    assert monitors["orders"].grpc is not None
    assert monitors["orders"].grpc.tls


def test_no_secret_is_printed_and_each_has_a_variable_with_its_place() -> None:
    found = read_uptime_kuma(sample("kuma.json"), "kuma.json")
    assert_tells_no_secret(found)
    assert {each.name: each.place for each in found.references} == {
        "LOGIN_API_TOKEN": "monitorList[2].url",
        "LOGIN_API_BODY_SECRET": "monitorList[2].body",
        "LOGIN_API_X_API_KEY": "monitorList[2].headers.X-Api-Key",
        "LOGIN_API_PASSWORD": "monitorList[2].basic_auth_pass",
        "NIGHTLY_BACKUP_TOKEN": "monitorList[7].pushToken",
    }


def test_what_is_not_taken_over_is_said_with_its_place_and_why() -> None:
    found = read_uptime_kuma(sample("kuma.json"), "kuma.json")
    assert about(found, "docker").startswith('refused: monitorList[9] "Redis in Docker": the type docker')
    assert about(found, "upside down").startswith('refused: monitorList[11] "Must be closed":')
    assert "(slack), used by 2 monitors: write a channel of kind slack" in about(found, "Ops Slack")
    assert "used by 1 monitor:" in about(found, "Gotify")
    assert about(found, "maxretries").endswith("(3 monitors)")


def test_retries_become_rules_when_they_are_asked_for(tmp_path: Path) -> None:
    found = read_uptime_kuma(sample("kuma.json"), "kuma.json", keep_rules=True)
    monitors = loaded(found, tmp_path).monitors
    assert monitors["website"].rule == SimpleRule(regions=1, in_a_row=3)
    assert monitors["login-api"].rule == SimpleRule(regions=1, in_a_row=1)
    assert monitors["nightly-backup"].rule is None


@pytest.mark.parametrize(
    "kind", ["docker", "mqtt", "postgres", "real-browser", "steam", "kafka-producer", "new-thing", ""]
)
def test_a_type_without_a_counterpart_is_refused_and_the_others_stay(kind: str) -> None:
    found = backup(web(), {"id": 2, "name": "other", "type": kind})
    assert list(found.section["monitors"]) == ["web"]
    assert about(found, "counterpart").startswith('refused: monitorList[1] "other":')


def test_a_keyword_that_must_not_be_there_is_a_pattern_that_fails_where_it_is(tmp_path: Path) -> None:
    import re

    pattern = http_of(backup(web(type="keyword", keyword="a+b error", invertKeyword=True)), tmp_path).regex
    assert re.search(pattern, "all\nwell") is not None
    assert re.search(pattern, "one\nan a+b error two") is None


@pytest.mark.parametrize(
    "query", ["$sum(items.price)", "items[state='up']", "a.*.b", "total-used", "a & b", "", "a[-1]"]
)
def test_a_jsonata_query_of_more_than_names_is_dropped_and_said(query: str, tmp_path: Path) -> None:
    found = backup(web(type="json-query", jsonPath=query, expectedValue="1"))
    assert about(found, "jsonPath").startswith('dropped: monitorList[0].jsonPath "web": the JSONata query')
    assert http_of(found, tmp_path).jsonpath == ""


@pytest.mark.parametrize(
    ("query", "path"), [("$", "$"), ("status", "$.status"), ("$.data.items[0].state", "$.data.items[0].state")]
)
def test_a_jsonata_query_of_names_and_indexes_becomes_a_jsonpath(query: str, path: str, tmp_path: Path) -> None:
    found = backup(web(type="json-query", jsonPath=query, expectedValue="1"))
    check = http_of(found, tmp_path)
    assert (check.jsonpath, check.equals) == (path, "1")


def test_what_is_secret_in_a_query_is_a_variable_and_the_rest_stays(tmp_path: Path) -> None:
    found = backup(web(url="https://web.example.com/x?a=1&api_key=s3cr3t&b=2&sig=s3cr3t#top"))
    assert "https://web.example.com/x?a=1&api_key=${WEB_QUERY_SECRET}#top" in found.text
    assert_tells_no_secret(found)
    loaded(found, tmp_path)


def test_credentials_in_the_url_become_fields_of_their_own(tmp_path: Path) -> None:
    found = backup(web(url="https://me:s3cr3t%40pass@web.example.com/x"))
    check = http_of(found, tmp_path)
    assert (check.url, check.username, check.password) == ("https://web.example.com/x", "me", "value-of-web-password")
    assert_tells_no_secret(found)


def test_a_secret_that_several_monitors_carry_is_one_variable(tmp_path: Path) -> None:
    headers = json.dumps({"Authorization": "Bearer s3cr3t"})
    found = backup(web(headers=headers), web(name="two", headers=headers), web(name="three", headers=headers))
    assert [each.name for each in found.references] == ["WEB_AUTHORIZATION"]
    assert len(loaded(found, tmp_path).monitors) == 3


def test_different_secrets_never_share_a_variable(tmp_path: Path) -> None:
    headers = {"X-Api-Key": "s3cr3t-1", "X.Api.Key": "s3cr3t-2"}
    found = backup(web(headers=json.dumps(headers)))
    assert len({each.name for each in found.references}) == 2
    assert_tells_no_secret(found)


def test_heartbeats_get_new_tokens_each_its_own(tmp_path: Path) -> None:
    push = {"type": "push", "pushToken": "s3cr3t", "interval": 3600, "active": True}
    found = backup({"name": "a", **push}, {"name": "b", **push})
    assert [each.name for each in found.references] == ["A_TOKEN", "B_TOKEN"]
    loaded(found, tmp_path)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"authMethod": "ntlm", "basic_auth_user": "x"}, "ntlm authentication is not spoken"),
        ({"authMethod": "oauth2-cc", "oauth_client_secret": "s3cr3t"}, "oauth2-cc authentication is not spoken"),
        ({"proxyId": 3}, "through a proxy"),
        ({"maxredirects": 50}, "50 redirects become 20"),
        ({"accepted_statuscodes": ["200", "banana"]}, "not a status code"),
        ({"headers": '{"Host": "x.example.com"}'}, "set by the probe itself"),
        ({"headers": '{"X-Name": "Zoë"}'}, "printable ASCII"),
        ({"interval": 172800}, "an interval of 2d becomes 1d"),
        ({"timeout": 600, "interval": 900}, "a timeout of 10m becomes 2m"),
    ],
)
def test_a_part_that_is_lost_or_changed_is_said_and_the_monitor_stays(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    found = backup(web(**fields))
    assert about(found, words)
    assert_tells_no_secret(found)
    assert list(loaded(found, tmp_path).monitors) == ["web"]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"url": 7}, "monitorList[1]"),
        ({"url": ["https://x"]}, "monitorList[1].url"),
        ({"url": "ftp://x.example.com"}, "monitorList[1]"),
        ({"url": "https://[::1"}, "monitorList[1]"),
        ({"interval": "soon"}, "monitorList[1].interval"),
        ({"interval": -5}, "monitorList[1].interval"),
        ({"interval": 1e300}, "monitorList[1].interval"),
        ({"headers": "{not json"}, "monitorList[1].headers"),
        ({"active": "maybe"}, "monitorList[1].active"),
        ({"tags": {"a": 1}}, "monitorList[1].tags"),
        ({"name": "bad", "type": "port", "hostname": "x.example.com", "port": 99999}, "monitorList[1]"),
        ({"body": "x" * 20_000}, "monitorList[1]"),
        ({"url": "https://x.example.com/\ud800"}, "monitorList[1]"),
        ({"name": {"a": 1}}, "monitorList[1].name"),
    ],
)
def test_a_field_of_the_wrong_kind_refuses_its_monitor_and_names_the_place(fields: dict[str, Any], place: str) -> None:
    found = backup(web(name="good"), web(**{"name": "bad", **fields}))
    assert list(found.section["monitors"]) == ["good"]
    (line,) = [line for line in said(found) if line.startswith("refused")]
    assert line.startswith(f"refused: {place}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1, column 1: not JSON"),
        ("[]", "there is no monitorList"),
        ('{"monitorList": 7}', "monitorList: a single value where a list belongs"),
        ('{"monitorList": []}', "no monitor could be taken over"),
        ('{"monitorList": [], "monitorList": []}', "monitorList: a duplicate key"),
        ('{"monitorList": [' + "[" * 100_000, "nested deeper"),
        ('{"monitorList": [NaN]}', "not JSON: NaN"),
        ('{"monitorList": [' + "9" * 5000 + "]}", "a number that nothing can hold"),
        ('{"monitorList": [{"type": "group", "name": "g"}]}', "no monitor could be taken over"),
        ('{"monitorList": [], "notificationList": {"a": []}}', "notificationList: a map where a list belongs"),
    ],
)
def test_what_is_no_backup_is_an_error_that_names_the_place(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words.replace("[", r"\[")) as caught:
        read_uptime_kuma(text, "kuma.json")
    assert caught.value.exit_code == 2


def test_more_monitors_than_a_configuration_holds_are_refused_as_a_whole() -> None:
    many = [{"name": f"m{n}", "type": "ping", "hostname": "a.example.com"} for n in range(10_100)]
    with pytest.raises(Invalid, match="monitors do not fit into one file"):
        backup(*many)
