from __future__ import annotations

import resource

import pytest

from holdfast.web.connections import places


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "found"),
    [
        (1024, 1_000_000, 1256, 1000),
        (1024, 1156, 1156, 900),
        (1024, 1024, 1024, 768),
        (1_000_000, 1_000_000, None, 1000),
        (1024, resource.RLIM_INFINITY, 1256, 1000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 1000),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int | None, found: int
) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set_to.append(limits))
    assert places(1000) == found
    assert set_to == ([] if raised is None else [(raised, hard)])
