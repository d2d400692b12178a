"""One check, now: ``holdfast netpulse check URL``."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from msgspec import ValidationError, convert, structs

from holdfast.kernel import Duration
from holdfast.kernel.settings import Section
from holdfast.netpulse.core.settings import (
    DnsCheck,
    GrpcCheck,
    HttpCheck,
    IcmpCheck,
    MonitorSettings,
    TcpCheck,
    TlsCheck,
    WebSocketCheck,
)
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.probes import Finding, Leave, Prober
from holdfast.netpulse.shell.probes.place import host_and_port, host_name, place

_FORMS: Final = (
    "https://HOST/PATH, tcp://HOST:PORT, tls://HOST[:PORT], dns://NAME[?type=A&resolver=IP], icmp://HOST, "
    "wss://HOST/PATH or grpc://HOST:PORT[/SERVICE]"
)


async def check_once(spec: MonitorSettings, leave: Leave) -> Finding:
    """Probe, and close everything."""
    prober = Prober(leave)
    try:
        return await prober.probe(spec)
    finally:
        await prober.close()


def spec_of(
    url: str, *, timeout: Duration = Duration(10.0), allow_private: bool = False, verify: bool = True, ca_file: str = ""
) -> MonitorSettings:
    """What a URL means as a monitor. Raises :class:`Invalid`."""
    scheme, mark, rest = url.partition("://")
    if not mark or not rest:
        raise Invalid(f"this is no URL; write {_FORMS}")
    base = MonitorSettings(timeout=timeout, allow_private=allow_private)
    return structs.replace(base, **_kind(url, scheme.lower(), verify=verify, ca_file=ca_file))


def _kind(url: str, scheme: str, *, verify: bool, ca_file: str) -> dict[str, Section]:
    parts = urlsplit(url)
    if scheme in {"http", "https"}:
        place(url)
        return {"http": HttpCheck(url=url, verify=verify, ca_file=ca_file)}
    if scheme in {"ws", "wss"}:
        place(url, ("ws", "wss"))
        return {"websocket": WebSocketCheck(url=url, verify=verify, ca_file=ca_file)}
    if scheme == "tcp":
        return {"tcp": TcpCheck(address=_joined(*host_and_port(parts.netloc)))}
    if scheme == "tls":
        return {"tls": TlsCheck(address=_joined(*host_and_port(parts.netloc, 443)), ca_file=ca_file)}
    if scheme in {"grpc", "grpcs"}:
        address = _joined(*host_and_port(parts.netloc))
        service, tls = parts.path.strip("/"), scheme == "grpcs"
        return {"grpc": GrpcCheck(address=address, service=service, tls=tls, verify=verify, ca_file=ca_file)}
    if scheme == "icmp":
        return {"icmp": IcmpCheck(host=host_name(parts.netloc.strip("[]")))}
    if scheme == "dns":
        return {"dns": _dns(parts.netloc, parts.query)}
    raise Invalid(f"{scheme}:// cannot be checked; write {_FORMS}")


def _dns(name: str, query: str) -> DnsCheck:
    given = dict(part.partition("=")[::2] for part in query.split("&") if part)
    kind = given.pop("type", "A").upper()
    resolver = given.pop("resolver", "")
    if given:
        raise Invalid(f"dns:// knows type and resolver, not {', '.join(sorted(given))}")
    try:
        return convert({"name": host_name(name), "type": kind, "resolver": resolver}, DnsCheck)
    except ValidationError:
        raise Invalid("dns:// asks for a type like A, AAAA, CNAME, MX, NS, SOA, SRV or TXT") from None


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
