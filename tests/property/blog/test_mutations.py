"""Two hundred numbers typed by hand, all caught; posts that were not touched, not one alarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from holdfast.blog.core.readme import judge_readme
from holdfast.blog.shell.project import Project
from holdfast.blog.shell.quotations import Quotations
from holdfast.cli.blog import results_faults
from tests.property.blog.mutations import Mutation, of_post, of_readme
from tests.unit.blog.core.scenery import SAMPLE, faults

ROOT = Path(__file__).parents[3]
SEED = 20_261_123


def mutations() -> Iterator[Mutation]:
    return islice(of_post(SAMPLE, Random(SEED)), 160)


def test_every_number_typed_into_a_post_is_caught_where_it_stands() -> None:
    missed = []
    places: Counter[str] = Counter()
    for mutation in mutations():
        places[mutation.place] += 1
        found = faults(mutation.text)
        if not any("typed by hand" in fault.message or "holds a number" in fault.message for fault in found):
            missed.append((mutation.place, mutation.typed, [str(fault) for fault in found]))
    assert missed == []
    assert len(places) >= 15


def test_every_number_typed_into_the_readme_is_caught() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = Quotations(ROOT).quoted
    missed = []
    for mutation in islice(of_readme(readme, Random(SEED)), 40):
        found = judge_readme(mutation.text, file="README.md", quoted=quoted)
        found += results_faults(Project(ROOT), mutation.text)
        if not found:
            missed.append((mutation.place, mutation.typed))
    assert missed == []
    assert judge_readme(readme, file="README.md", quoted=quoted) == ()


def test_what_was_not_touched_raises_no_alarm() -> None:
    assert faults(SAMPLE) == ()


CLEAN = """\
A backend that was marked down on 2026-11-22 came back the same day, and nobody was paged twice.
We compared it with HAProxy v2.6 and nginx v1.22 on Debian 12 with Python 3.11.
The p99 of the first two rounds is not that of the third, as RFC 2439 says in section 4.8.
One of three regions lost its link; the other two agreed, and one page went out.
TLS 1.3 is spoken to clients, HTTP/1.1 behind, and status 503 says when to come again.
Once a lease has run out, its fencing token is worth nothing, and the worker learns that from a 409 Conflict.
Thousands of programs wait in the queue while one tenant floods it, and the other tenants do not notice.
Scale to zero has one price: whoever comes first waits.
Both breakers open at the same time, one per pool, half-open a little later, each on its own.
In November 2026 it ran on x86-64 in eu-west-1, with IPv4 and SHA-256 of every input.
The first attempt fails, the second succeeds elsewhere, and the third is never made.
We tried three designs, of which two were thrown away.
An answer of the 5xx class counts, one of the 4xx class does not.
It is stored as UTF-8 in SQLite, or in PostgreSQL with FOR UPDATE SKIP LOCKED.
The five sections are always the same, in one order.
A client of OpenAI's or Anthropic's needs another base URL and any key.
Step 2 is the one that people forget.
At layer 7 a proxy sees requests, at layer 4 it sees bytes.
It answers 404 Not Found, and the gateway turns that into its own words.
Route53, S3 and EC2 are named in the template, each with one tag.
The 99th percentile is what a user notices; the mean is what a dashboard shows.
Each of the four services is useful alone.
"""


@pytest.mark.parametrize("sentence", CLEAN.splitlines())
def test_a_sentence_without_a_figure_raises_no_alarm(sentence: str) -> None:
    text = SAMPLE.replace("Most balancers decide from a counter.", sentence)
    assert faults(text) == ()
