"""Money and keys: the journal, budgets, prices, virtual keys, and reports of what was spent."""

from holdfast.gateway.shell.ledger.keys import KeyBook, VirtualKey
from holdfast.gateway.shell.ledger.ledger import MoneyLedger, Totals
from holdfast.gateway.shell.ledger.prices import Offer, PriceList, read_catalogue
from holdfast.gateway.shell.ledger.reconcile import ProviderReport, Reconciled
from holdfast.gateway.shell.ledger.reports import Page, Query, Reports, UsageRow
from holdfast.gateway.shell.ledger.segments import JournalError

__all__ = [
    "JournalError",
    "KeyBook",
    "MoneyLedger",
    "Offer",
    "Page",
    "PriceList",
    "ProviderReport",
    "Query",
    "Reconciled",
    "Reports",
    "Totals",
    "UsageRow",
    "VirtualKey",
    "read_catalogue",
]
