"""Who counts as a visitor on this machine, and which cookies go out."""

from __future__ import annotations

import pytest

from holdfast.console.gate import Cookies, is_on_this_machine

HERE = ("127.0.0.1", 5000)


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        (HERE, {"host": "127.0.0.1:8085"}),
        (HERE, {"host": "localhost:8085"}),
        (HERE, {"host": "[::1]:8085"}),
        (("::1", 5000), {"host": "localhost"}),
        (HERE, {"host": "localhost:8080", "x-forwarded-for": "127.0.0.1"}),
        (HERE, {"host": "localhost:8080", "forwarded": 'for=127.0.0.1;proto=http, for="[::1]:4711"'}),
    ],
)
def test_a_browser_here_is_here_also_through_a_balancer_here(client: tuple[str, int], headers: dict[str, str]) -> None:
    assert is_on_this_machine(client, headers)


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        (None, {"host": "localhost"}),
        (("203.0.113.7", 5000), {"host": "localhost"}),
        (HERE, {}),
        (HERE, {"host": ""}),
        (HERE, {"host": "console.example"}),
        (HERE, {"host": "localhost.example"}),
        (HERE, {"host": "203.0.113.7"}),
        (HERE, {"host": "localhost", "x-forwarded-for": "203.0.113.7"}),
        (HERE, {"host": "localhost", "x-forwarded-for": "127.0.0.1, 203.0.113.7"}),
        (HERE, {"host": "localhost", "x-forwarded-for": "unknown"}),
        (HERE, {"host": "localhost", "forwarded": "for=203.0.113.7"}),
        (HERE, {"host": "localhost", "forwarded": "for=127.0.0.1, for=203.0.113.7"}),
        (HERE, {"host": "localhost", "forwarded": "for=_hidden"}),
        (HERE, {"host": "localhost", "forwarded": "proto=http"}),
    ],
)
def test_everybody_else_is_not(client: tuple[str, int] | None, headers: dict[str, str]) -> None:
    assert not is_on_this_machine(client, headers)


def test_over_tls_cookies_go_over_tls_only() -> None:
    secure, plain = Cookies(secure=True), Cookies(secure=False)
    assert secure.session("v") == "__Host-holdfast=v; HttpOnly; Path=/; SameSite=Strict; Secure"
    assert plain.session("v") == "holdfast=v; HttpOnly; Path=/; SameSite=Strict"
    assert secure.theme("dark").endswith("; Secure")
    assert "Max-Age=0" in plain.theme("")
