"""A provider of models that does as it is told: every protocol, deterministic answers, every fault, its own ledger."""

from holdfast.gateway.shell.mock.faults import Fault, parse_fault
from holdfast.gateway.shell.mock.ledger import Entry, MockLedger
from holdfast.gateway.shell.mock.orders import BadOrder
from holdfast.gateway.shell.mock.provider import MockProvider, serve_mock

__all__ = ["BadOrder", "Entry", "Fault", "MockLedger", "MockProvider", "parse_fault", "serve_mock"]
