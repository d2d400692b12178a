"""``holdfast netpulse`` and ``holdfast replay``: certificates, one check, what a change would do or would have done."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.kernel import HoldfastError

app = typer.Typer(
    help="Uptime and incidents: certificates, checks by hand, what a change would do.", no_args_is_help=True
)
certs_app = typer.Typer(help="The authority of the agents, and what it signed.", no_args_is_help=True)
app.add_typer(certs_app, name="certs")
replay_app = typer.Typer(
    help="A changed configuration against recorded history, in virtual time.", no_args_is_help=True
)

File = Annotated[Path, typer.Option("--config", "-c", metavar="FILE", help="Configuration file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


class Origin(StrEnum):
    """Whose configuration is read."""

    UPTIME_KUMA = "uptime-kuma"
    GATUS = "gatus"
    BLACKBOX = "blackbox"


class _Wrong(HoldfastError):
    exit_code = 2


@certs_app.command("agent")
def certs_agent(
    config: File,
    region: Annotated[str, typer.Option(help="Region of the file that the agent watches from.")],
    name: Annotated[str | None, typer.Option(help="Of the agent; the region's when left out.")] = None,
) -> None:
    """Sign a certificate for an agent, and say what to copy to its machine."""
    from holdfast.netpulse import make_agent

    settings = _settings(config)
    if region not in settings.regions:
        raise _Wrong(f"{config}: netpulse.regions: no region {region!r}; add it, or choose another")
    bundle = make_agent(Path(settings.agents.certificates), region, name)
    print(bundle.certificate)
    print(bundle.authority)
    print(
        f"copy both to the machine of the agent, into its agents.certificates, and run there: "
        f"holdfast run agent --region {region}" + (f" --name {name}" if name else "") + " -c FILE",
        file=sys.stderr,
    )


@certs_app.command("revoke")
def certs_revoke(config: File, name: Annotated[str, typer.Argument(help="Of the agent.")]) -> None:
    """Turn an agent away from its next request on."""
    from holdfast.netpulse import revoke_agent

    for serial in revoke_agent(Path(_settings(config).agents.certificates), name):
        print(serial)


@certs_app.command("list")
def certs_list(config: File, as_json: Json = False) -> None:
    """List the certificates of agents."""
    from holdfast.netpulse import issued_certificates

    found = issued_certificates(Path(_settings(config).agents.certificates))
    if as_json:
        rows = [
            {
                "agent": each.identity.agent,
                "region": each.identity.region,
                "serial": each.identity.serial,
                "expires": each.identity.expires.isoformat(),
                "revoked": each.revoked,
            }
            for each in found
        ]
        print(json.dumps(rows, indent=2))
        return
    for each in found:
        state = "revoked" if each.revoked else f"until {each.identity.expires:%Y-%m-%d}"
        print(f"{each.identity.agent:<20} {each.identity.region:<12} {state:<16} {each.identity.serial}")


@app.command("check")
def check(
    url: Annotated[str, typer.Argument(help="http(s), tcp, tls, dns, icmp, ws(s) or grpc(s) URL.")],
    timeout: Annotated[float, typer.Option(min=0.1, max=120.0, help="Seconds.")] = 10.0,
    private: Annotated[
        bool, typer.Option("--private/--public-only", help="Also ask private and loopback addresses.")
    ] = True,
    verify: Annotated[bool, typer.Option("--verify/--insecure", help="Certificates have to be valid.")] = True,
    as_json: Json = False,
) -> None:
    """Probe once, as an agent would, and print the time of each phase. Exit code 0: up, 1: down or unknown."""
    import asyncio

    from holdfast.netpulse import check_url

    found = asyncio.run(check_url(url, timeout_s=timeout, allow_private=private, verify=verify))
    phases = {
        "resolve": found.phases.resolve,
        "connect": found.phases.connect,
        "tls": found.phases.tls,
        "first_byte": found.phases.first_byte,
        "transfer": found.phases.transfer,
    }
    outcome = found.outcome.name.lower()
    if as_json:
        body: dict[str, Any] = {
            "outcome": outcome,
            "failure": found.failure.value,
            "status": found.status,
            "total_ms": round(found.total_ms, 2),
            "phases_ms": {name: round(value, 2) for name, value in phases.items() if value is not None},
            "address": found.address,
            "cert_days": found.cert_days,
            "detail": found.detail,
        }
        print(json.dumps(body, indent=2))
    else:
        said = f" {found.status}" if found.status else ""
        print(f"{outcome}{said} in {found.total_ms:.1f} ms" + (f" from {found.address}" if found.address else ""))
        for name, value in phases.items():
            if value is not None:
                print(f"  {name.replace('_', ' '):<11} {value:>8.1f} ms")
        if found.cert_days is not None:
            print(f"  certificate expires in {found.cert_days:.0f} days")
        if found.detail:
            print(f"  {found.failure.value + ': ' if found.failure.value else ''}{found.detail}")
    raise typer.Exit(0 if outcome == "up" else 1)


@app.command("diff")
def diff(
    old: Annotated[Path, typer.Argument(help="Configuration in force.")],
    new: Annotated[Path, typer.Argument(help="Configuration that is meant.")],
    as_json: Json = False,
) -> None:
    """Say what a change would do: monitors, detection times, who is told. Exit code 0, changes or not."""
    from holdfast.netpulse import differences

    found = differences(_settings(old), _settings(new))
    if as_json:
        rows = [
            {"kind": d.kind, "path": d.path, "before": d.before, "after": d.after, "consequence": d.consequence}
            for d in found
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if not found:
        print("nothing would change")
    for each in found:
        mark = {"added": "+", "removed": "-"}.get(each.kind, "~")
        change = " -> ".join(text for text in (each.before, each.after) if text is not None)
        print(f"{mark} {each.path}: {change}" + (f"\n    {each.consequence}" if each.consequence else ""))


@app.command("import")
def import_(
    origin: Annotated[Origin, typer.Argument(metavar="uptime-kuma|gatus|blackbox", help="Whose configuration it is.")],
    file: Annotated[Path, typer.Argument(help="Backup (JSON), configuration, or modules of the exporter (YAML).")],
    targets: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of blackbox: prometheus.yml, where its targets stand.")
    ] = None,
    keep_rules: Annotated[
        bool, typer.Option("--keep-rules", help="Count failures in a row as it was done there, without the detector.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print another monitor's configuration as a `netpulse:` section, and say what was not taken over."""
    from holdfast.netpulse import import_from

    found = import_from(origin, file, targets=targets, keep_rules=keep_rules)
    if as_json:
        body = {
            "netpulse": found.section,
            "remarks": [
                {"kind": r.kind, "place": r.place, "monitor": r.monitor, "message": r.message} for r in found.remarks
            ],
            "variables": [{"name": r.name, "place": r.place, "message": r.message} for r in found.references],
        }
        print(json.dumps(body, indent=2, ensure_ascii=False))
        return
    print(found.text, end="")
    for line in (*found.remarks, *found.references):
        print(line, file=sys.stderr)


@replay_app.command("netpulse")
def replay(
    config: File,
    history: Annotated[
        str, typer.Option(metavar="URL", help="Store of the engine that watched; the file's when left out.")
    ] = "",
    days: Annotated[float, typer.Option(min=0.01, max=400.0, help="How much of it, counted from its end.")] = 7.0,
    as_json: Json = False,
) -> None:
    """Play recorded results through a configuration: pages then and now, and what differs."""
    import asyncio

    from holdfast.app.config import load
    from holdfast.netpulse import replay as run
    from holdfast.store import StoreSettings

    loaded = load(config, ports=False).config
    if loaded.netpulse is None:
        raise _Wrong(f"{config}: netpulse: missing section; add it")
    url = history if "://" in history or history.startswith("sqlite:") else f"sqlite:{history}" if history else ""
    store = StoreSettings(url=url) if url else loaded.store or StoreSettings()
    found = asyncio.run(run(loaded.netpulse, store, days=days))
    rows = [
        {
            "title": (pair.now or pair.then).incident.title,  # type: ignore[union-attr]
            "began": _moment((pair.now or pair.then).incident.began),  # type: ignore[union-attr]
            "then_pages": pair.then.pages if pair.then else 0,
            "now_pages": pair.now.pages if pair.now else 0,
            "then_delay_s": round(pair.then.delay_s, 1) if pair.then else None,
            "now_delay_s": round(pair.now.delay_s, 1) if pair.now else None,
            "why": pair.why,
        }
        for pair in found.pairs
    ]
    played = found.played
    if as_json:
        print(
            json.dumps({"results": played.results, "then": found.then, "now": found.now, "incidents": rows}, indent=2)
        )
        return
    span_s = played.until - played.since
    span = f"{span_s / 3600:.1f} hours" if span_s >= 3600 else f"{span_s / 60:.1f} minutes"
    print(f"{played.results} results of {span}; pages then {found.then}, now {found.now}")
    for row in rows:
        told = f"then {row['then_pages']}, now {row['now_pages']}"
        print(f"{row['began']}  {row['title']}: {told}; {row['why']}")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _settings(file: Path) -> Any:
    from holdfast.app.config import load

    found = load(file, ports=False).config.netpulse
    if found is None:
        raise _Wrong(f"{file}: netpulse: missing section; add it")
    return found
