"""Known providers, and how a key is shown to them."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from holdfast.gateway.core.wire.presets import PRESETS, Auth, Preset, credentials


@pytest.mark.parametrize(("name", "preset"), PRESETS.items())
def test_every_address_is_one_and_has_a_source(name: str, preset: Preset) -> None:
    assert name == name.lower()
    assert preset.source
    if preset.url is None:
        assert "url:" in preset.note
        return
    parts = urlsplit(preset.url)
    assert parts.scheme == ("http" if preset.private else "https")
    assert parts.hostname
    assert not preset.url.endswith("/")
    assert not parts.query


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ("bearer", {"authorization": "Bearer k-1"}),
        ("x-api-key", {"x-api-key": "k-1"}),
        ("api-key", {"api-key": "k-1"}),
        ("x-goog-api-key", {"x-goog-api-key": "k-1"}),
        ("sigv4", {}),
        ("none", {}),
    ],
)
def test_a_key_is_shown_as_the_provider_wants_it(auth: Auth, expected: dict[str, str]) -> None:
    assert credentials(auth, "k-1") == expected


def test_anthropic_gets_its_version_with_and_without_a_key() -> None:
    version = {"anthropic-version": "2023-06-01"}
    assert credentials("x-api-key", "k", protocol="anthropic") == {**version, "x-api-key": "k"}
    assert credentials("none", None, protocol="anthropic") == version


@pytest.mark.parametrize("key", ["k\n", "k\r\nx: y", "k k", "schlüssel", "k\x00"])
def test_a_key_that_no_header_may_have_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(ValueError, match="character") as caught:
        credentials("bearer", key)
    assert key not in str(caught.value)
