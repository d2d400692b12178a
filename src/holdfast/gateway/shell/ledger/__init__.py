"""Money and keys: the journal, budgets, prices, virtual keys, and reports of what was spent."""

from holdfast.gateway.shell.ledger.ledger import MoneyLedger, Totals
from holdfast.gateway.shell.ledger.prices import Offer, PriceList, read_catalogue
from holdfast.gateway.shell.ledger.segments import JournalError

__all__ = ["JournalError", "MoneyLedger", "Offer", "PriceList", "Totals", "read_catalogue"]
