"""Question marks become numbers, except where they are none."""

from __future__ import annotations

import pytest

from holdfast.store.statements import numbered


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", "SELECT 1"),
        ("a = ? AND b = ?", "a = $1 AND b = $2"),
        ("SELECT '?', ?", "SELECT '?', $1"),
        ("SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1"),
        ('SELECT "a?""b?" FROM c WHERE d = ?', 'SELECT "a?""b?" FROM c WHERE d = $1'),
        ("SELECT ? -- really?\n, ?", "SELECT $1 -- really?\n, $2"),
        ("SELECT /* ? \n ? */ ?", "SELECT /* ? \n ? */ $1"),
        ("DO $$ BEGIN ? END $$; SELECT ?", "DO $$ BEGIN ? END $$; SELECT $1"),
        ("DO $body$ $$ ? $$ $body$; ?", "DO $body$ $$ ? $$ $body$; $1"),
        ("a LIKE '%' || ? || '%'", "a LIKE '%' || $1 || '%'"),
        ("'unfinished ?", "'unfinished $1"),
    ],
)
def test_only_parameters_are_numbered(sql: str, expected: str) -> None:
    assert numbered(sql) == expected.encode()
