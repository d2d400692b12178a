"""Every wrong setting of NetPulse is named by its path, with a remedy; a sound one passes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.settings import (
    AgentSettings,
    CanarySettings,
    ChannelSettings,
    CommandCheck,
    DnsCheck,
    EmailChannel,
    GrpcCheck,
    HeartbeatCheck,
    HttpCheck,
    IcmpCheck,
    IncidentSettings,
    MaintenanceSettings,
    MonitorSettings,
    NetpulseSettings,
    NtfyChannel,
    QuietSettings,
    RegionSettings,
    RetentionSettings,
    RouteSettings,
    SimpleRule,
    SlackChannel,
    StatusGroup,
    StatusSettings,
    StepSettings,
    TcpCheck,
    TlsCheck,
    WebhookChannel,
    WebSocketCheck,
)
from holdfast.netpulse.core.validate import (
    circles,
    kind_of,
    split_address,
    validate,
    validate_maintenance,
    validate_monitor,
)

WEB = MonitorSettings(http=HttpCheck(url="https://example.com/"))
SOUND = NetpulseSettings(
    regions={"eu": RegionSettings(domain="one"), "us": RegionSettings(domain="two")},
    monitors={
        "web": msgspec.structs.replace(WEB, public=True),
        "db": MonitorSettings(tcp=TcpCheck(address="db.example:5432"), depends_on=("web",), tags={"host": "a"}),
        "cert": MonitorSettings(tls=TlsCheck(address="[::1]:443")),
        "name": MonitorSettings(dns=DnsCheck(name="example.com", resolver="127.0.0.1:53")),
        "ping": MonitorSettings(icmp=IcmpCheck(host="192.0.2.1"), rule=SimpleRule(regions=2, in_a_row=3)),
        "chat": MonitorSettings(websocket=WebSocketCheck(url="wss://example.com/ws")),
        "rpc": MonitorSettings(grpc=GrpcCheck(address="example.com:50051")),
        "job": MonitorSettings(heartbeat=HeartbeatCheck(period=Duration(3600.0), token="t" * 32)),
        "script": MonitorSettings(command=CommandCheck(argv=("true",))),
    },
    channels={
        "hook": ChannelSettings(webhook=WebhookChannel(url="https://example.com/hook")),
        "mail": ChannelSettings(email=EmailChannel(server="mx.example:587", sender="a@example.com", to=("b@c.org",))),
    },
    routes=(
        RouteSettings(match={"group": "shop*"}, steps=(StepSettings(channels=("hook",)),)),
        RouteSettings(
            steps=(StepSettings(channels=("hook",)), StepSettings(channels=("mail",), after=Duration(300.0))),
            quiet=QuietSettings(start="22:00", end="07:00", timezone="Europe/Berlin"),
        ),
    ),
    maintenance={
        "sunday": MaintenanceSettings(
            start="2026-11-22T02:00", duration=Duration(3600.0), rrule="FREQ=WEEKLY;BYDAY=SU", timezone="Europe/Berlin"
        )
    },
    status=StatusSettings(groups=(StatusGroup(title="Shop", monitors=("web",)),), subscribe_channel="mail"),
)


def test_sound_settings_have_no_problem() -> None:
    assert validate(SOUND) == []
    assert validate(NetpulseSettings()) == []


def monitor(**changes: object) -> NetpulseSettings:
    return msgspec.structs.replace(SOUND, monitors={"web": msgspec.structs.replace(WEB, **changes)})


def http(**changes: object) -> NetpulseSettings:
    assert WEB.http is not None
    return monitor(http=msgspec.structs.replace(WEB.http, **changes))


def section(**changes: object) -> NetpulseSettings:
    return msgspec.structs.replace(SOUND, **changes)


def route(**changes: object) -> NetpulseSettings:
    base = RouteSettings(steps=(StepSettings(channels=("hook",)),))
    return section(routes=(msgspec.structs.replace(base, **changes),))


def window(**changes: object) -> NetpulseSettings:
    base = MaintenanceSettings(start="2026-11-22T02:00", duration=Duration(3600.0))
    return section(maintenance={"m": msgspec.structs.replace(base, **changes)})


def channel(**changes: object) -> NetpulseSettings:
    return section(channels={"hook": ChannelSettings(**changes)}, routes=(), status=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (section(listen="nowhere"), "listen"),
        (section(agents=AgentSettings(engine="http://x")), "agents.engine"),
        (section(agents=AgentSettings(canaries=(CanarySettings(),))), "agents.canaries.0"),
        (section(agents=AgentSettings(canaries=(CanarySettings(tcp="x"),))), "agents.canaries.0.tcp"),
        (section(false_pages_per_year=0.0), "false_pages_per_year"),
        (section(regions={"EU": RegionSettings()}), "regions.EU"),
        (section(monitors={"Web!": WEB}, status=None), "monitors.Web!"),
        (section(regions={}, monitors={"web": WEB}, status=None), "monitors.web"),
        (monitor(http=None), "monitors.web"),
        (monitor(tcp=TcpCheck(address="a:1")), "monitors.web"),
        (monitor(interval=Duration(0.1), timeout=Duration(0.1)), "monitors.web.interval"),
        (monitor(timeout=Duration(31.0)), "monitors.web.timeout"),
        (monitor(regions=("mars",)), "monitors.web.regions.0"),
        (monitor(depends_on=("nobody",)), "monitors.web.depends_on.0"),
        (monitor(depends_on=("web",)), "monitors.web.depends_on"),
        (monitor(rule=SimpleRule(regions=3)), "monitors.web.rule.regions"),
        (monitor(tags={"severity": "x"}), "monitors.web.tags.severity"),
        (http(url="gopher://x"), "monitors.web.http.url"),
        (http(url="http://user:secret@x/"), "monitors.web.http.url"),
        (http(url="http://x y/"), "monitors.web.http.url"),
        (http(method="CONNECT"), "monitors.web.http.method"),
        (http(headers={"host": "x"}), "monitors.web.http.headers.host"),
        (http(headers={"x": "a\r\nb"}), "monitors.web.http.headers.x"),
        (http(status=("2xx", "teapot")), "monitors.web.http.status.1"),
        (http(status=("300-200",)), "monitors.web.http.status.0"),
        (http(status=()), "monitors.web.http.status"),
        (http(regex="("), "monitors.web.http.regex"),
        (http(regex="(a+)+$"), "monitors.web.http.regex"),
        (http(jsonpath="$["), "monitors.web.http.jsonpath"),
        (http(equals="x"), "monitors.web.http.equals"),
        (http(bearer_token="x", username="y"), "monitors.web.http.bearer_token"),
        (http(body="x" * 70_000), "monitors.web.http.body"),
        (monitor(http=None, dns=DnsCheck(name="a..b")), "monitors.web.dns.name"),
        (monitor(http=None, dns=DnsCheck(name="a.b", resolver="dns.example")), "monitors.web.dns.resolver"),
        (monitor(http=None, icmp=IcmpCheck(host="a b")), "monitors.web.icmp.host"),
        (monitor(http=None, websocket=WebSocketCheck(url="http://a")), "monitors.web.websocket.url"),
        (monitor(http=None, command=CommandCheck(argv=())), "monitors.web.command.argv"),
        (monitor(http=None, heartbeat=HeartbeatCheck(period=Duration(60.0))), "monitors.web.heartbeat.token"),
        (
            monitor(http=None, heartbeat=HeartbeatCheck(period=Duration(60.0), token="short")),
            "monitors.web.heartbeat.token",
        ),
        (channel(), "channels.hook"),
        (channel(slack=SlackChannel(webhook_url="x")), "channels.hook.slack.webhook_url"),
        (channel(ntfy=NtfyChannel(topic="a b")), "channels.hook.ntfy.topic"),
        (
            channel(email=EmailChannel(server="mx:25", sender="a@b.c", to=("x\r\nBcc: y",))),
            "channels.hook.email.to",
        ),
        (route(steps=()), "routes.0.steps"),
        (route(steps=(StepSettings(channels=("nobody",)),)), "routes.0.steps.0.channels.0"),
        (
            route(steps=(StepSettings(channels=("hook",)), StepSettings(channels=("mail",)))),
            "routes.0.steps.1.after",
        ),
        (route(match={"a b": "x"}), "routes.0.match.a b"),
        (route(match={"group": "*" * 9}), "routes.0.match.group"),
        (route(quiet=QuietSettings(start="22:00", end="22:00")), "routes.0.quiet.end"),
        (route(quiet=QuietSettings(start="25:00", end="22:00")), "routes.0.quiet.start"),
        (route(quiet=QuietSettings(start="22:00", end="07:00", timezone="Mars/Base")), "routes.0.quiet.timezone"),
        (window(start="tomorrow"), "maintenance.m.start"),
        (window(start="2026-11-22T02:00+01:00"), "maintenance.m.start"),
        (window(rrule="FREQ=OFTEN"), "maintenance.m.rrule"),
        (window(rrule="FREQ=SECONDLY"), "maintenance.m.rrule"),
        (window(timezone="../etc/passwd"), "maintenance.m.timezone"),
        (section(incidents=IncidentSettings(flap_reuse=4000.0)), "incidents.flap_reuse"),
        (section(incidents=IncidentSettings(flap_max=Duration(10.0))), "incidents.flap_max"),
        (section(incidents=IncidentSettings(flap_half_life=Duration(10.0))), "incidents.flap_suppress"),
        (section(retention=RetentionSettings(raw=Duration(90 * 86_400.0))), "retention.raw"),
        (
            section(status=StatusSettings(groups=(StatusGroup(title="x", monitors=("no",)),))),
            "status.groups.0.monitors.0",
        ),
        (
            section(status=StatusSettings(groups=(StatusGroup(title="x", monitors=("db",)),))),
            "status.groups.0.monitors.0",
        ),
        (section(status=StatusSettings(subscribe_channel="hook")), "status.subscribe_channel"),
    ],
)
def test_a_wrong_setting_is_named_by_its_path_with_a_remedy(settings: NetpulseSettings, path: str) -> None:
    found = {".".join(str(part) for part in problem.path): problem for problem in validate(settings)}
    assert path in found
    assert found[path].remedy


def test_what_is_secret_is_not_repeated() -> None:
    for settings in (http(url="http://user:hunter2@x/"), http(headers={"x": "hunter2\n"})):
        assert "hunter2" not in repr(validate(settings))


def test_a_route_behind_one_that_takes_everything_is_named() -> None:
    everything = RouteSettings(steps=(StepSettings(channels=("hook",)),))
    found = validate(section(routes=(everything, everything)))
    assert [problem.path for problem in found] == [("routes", 1)]


def test_every_circle_is_found_once() -> None:
    parents = {"a": ["b"], "b": ["c"], "c": ["a"], "d": ["d"], "e": ["a", "f"], "f": []}
    assert circles(parents) == [("a", "b", "c"), ("d",)]


def test_a_long_chain_of_dependencies_is_no_problem() -> None:
    assert circles({str(n): [str(n + 1)] for n in range(5_000)} | {"5000": []}) == []


@pytest.mark.parametrize(
    ("text", "address"), [("a:1", ("a", 1)), ("[::1]:2", ("::1", 2)), ("10.0.0.1:65535", ("10.0.0.1", 65535))]
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address


def test_the_kind_of_a_monitor() -> None:
    assert kind_of(WEB) == "http"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": "x" * 201}, "name"),
        ({"group": "x" * 201}, "group"),
        ({"tags": {f"t{number}": "x" for number in range(65)}}, "tags"),
        ({"tags": {"team": "x" * 257}}, "tags"),
        ({"regions": ("eu",) * 101}, "regions"),
        ({"http": HttpCheck(url="https://example.com/", headers={f"x-{n}": "v" for n in range(65)})}, "http"),
    ],
)
def test_a_monitor_is_no_larger_than_what_carries_it(fields: dict[str, Any], place: str) -> None:
    found = validate_monitor("web", msgspec.structs.replace(WEB, **fields), SOUND)
    assert [each.path[0] for each in found] == [place]


@pytest.mark.parametrize(
    "rrule", ["FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=HOURLY", "FREQ=DAILY;INTERVAL=100000", "FREQ=WEEKLY;X=1"]
)
def test_what_passes_as_a_maintenance_is_what_a_window_takes(rrule: str) -> None:
    window = MaintenanceSettings(start="2026-01-01T02:00", duration=Duration(3600.0), rrule=rrule)
    assert [each.path for each in validate_maintenance(window, path=("maintenance", "night"))] == [
        ("maintenance", "night", "rrule")
    ]
