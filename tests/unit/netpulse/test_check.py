"""What a URL means as a monitor."""

from __future__ import annotations

import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.settings import (
    DnsCheck,
    GrpcCheck,
    HttpCheck,
    IcmpCheck,
    TcpCheck,
    TlsCheck,
    WebSocketCheck,
)
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.check import spec_of


@pytest.mark.parametrize(
    ("url", "kind", "check"),
    [
        ("https://example.com/x", "http", HttpCheck(url="https://example.com/x")),
        ("tcp://example.com:25", "tcp", TcpCheck(address="example.com:25")),
        ("tls://example.com", "tls", TlsCheck(address="example.com:443")),
        ("tls://[2001:db8::1]:853", "tls", TlsCheck(address="[2001:db8::1]:853")),
        ("dns://example.com", "dns", DnsCheck(name="example.com")),
        (
            "dns://example.com?type=mx&resolver=192.0.2.53",
            "dns",
            DnsCheck(name="example.com", type="MX", resolver="192.0.2.53"),
        ),
        ("icmp://example.com", "icmp", IcmpCheck(host="example.com")),
        ("icmp://[2001:db8::1]", "icmp", IcmpCheck(host="2001:db8::1")),
        ("wss://example.com/s", "websocket", WebSocketCheck(url="wss://example.com/s")),
        ("grpc://example.com:50051", "grpc", GrpcCheck(address="example.com:50051")),
        (
            "grpcs://example.com:443/my.Service",
            "grpc",
            GrpcCheck(address="example.com:443", service="my.Service", tls=True),
        ),
    ],
)
def test_the_scheme_says_what_is_checked(url: str, kind: str, check: object) -> None:
    spec = spec_of(url, timeout=Duration(3.0), allow_private=True)
    assert getattr(spec, kind) == check
    assert (spec.timeout, spec.allow_private) == (3.0, True)


@pytest.mark.parametrize(
    "url",
    [
        *("example.com", "http://", "gopher://x", "tcp://example.com", "grpc://example.com", "dns://x?type=ANY"),
        *("dns://x?what=1", "icmp://a b", "tls://x:0", "ws://x:99999/"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        spec_of(url)
    assert len(str(refused.value)) > 20
