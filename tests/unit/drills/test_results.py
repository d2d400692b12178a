"""The tables of the README, and that they ask for figures which drills record."""

from __future__ import annotations

import re

import pytest

from holdfast.drills import list_drills
from holdfast.drills.results import TABLES, table
from holdfast.evidence import Record
from tests.unit.evidence.records import small_record


def test_drills_with_other_contenders_are_in_another_table_and_empty_tables_are_left_out() -> None:
    record: Record = small_record(attempts=20)
    text = table({"outage": ("link.json", record)})
    assert text.startswith("| The load balancer | Holdfast | HAProxy | nginx | control | record |")
    assert "[outage](link.json)" in text
    assert "first in, first out" not in text


@pytest.mark.parametrize("row", [row for one in TABLES for row in one.rows], ids="/".join)
def test_every_row_is_a_figure_of_a_drill_that_exists(row: tuple[str, str, str, str]) -> None:
    drill, _, _, form = row
    assert drill in {one.name for one in list_drills()}
    assert re.search(r"\{:[^}]+\}", form)
