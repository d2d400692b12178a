"""The record of a drill: write, load, verify, recompute.

A record carries its raw samples; every metric says by which expression it follows from
them and is recomputed whenever the record is read. A record is stale when the code or
configuration that it ran on has changed.
"""

from holdfast.evidence.archive import load, stale_inputs, write
from holdfast.evidence.comparison import Change, RecordComparison, compare
from holdfast.evidence.errors import (
    EvidenceError,
    ExpressionError,
    RecordExistsError,
    RecordInconsistentError,
    RecordsIncomparableError,
    RecordUnreadableError,
)
from holdfast.evidence.expression import evaluate
from holdfast.evidence.origin import Machine, commit_of, digest_files, project_root, versions_of
from holdfast.evidence.record import Better, Claim, Comparison, Control, Metric, Record, measure, sealed, verify
from holdfast.evidence.samples import Histogram, Samples
from holdfast.evidence.standing import Standing, newest, standing, standings

__all__ = [
    "Better",
    "Change",
    "Claim",
    "Comparison",
    "Control",
    "EvidenceError",
    "ExpressionError",
    "Histogram",
    "Machine",
    "Metric",
    "Record",
    "RecordComparison",
    "RecordExistsError",
    "RecordInconsistentError",
    "RecordUnreadableError",
    "RecordsIncomparableError",
    "Samples",
    "Standing",
    "commit_of",
    "compare",
    "digest_files",
    "evaluate",
    "load",
    "measure",
    "newest",
    "project_root",
    "sealed",
    "stale_inputs",
    "standing",
    "standings",
    "verify",
    "versions_of",
    "write",
]
