"""The purse: budget, ledger, sample bank, and `Compute`, the handle every strategy spends through."""

from nlrl.compute.bill import bill
from nlrl.compute.handle import DEFAULT_SAMPLING, Compute
from nlrl.compute.ledger import Hold, Ledger
from nlrl.compute.metered import MeteredModel
from nlrl.compute.purse import Purse
from nlrl.compute.strategy import Strategy

__all__ = [
    "DEFAULT_SAMPLING", "Compute", "Hold", "Ledger", "MeteredModel", "Purse", "Strategy", "bill",
]  # fmt: skip
