"""The purse: budget, ledger, sample bank, and `Compute`, the handle every strategy spends through."""

from nlrl.compute.bank import Bank, Draw, panel_key, sample_key
from nlrl.compute.handle import DEFAULT_SAMPLING, Compute
from nlrl.compute.ledger import Hold, Ledger
from nlrl.compute.purse import MeteredModel, Purse, ReplayModel, bill

__all__ = [
    "DEFAULT_SAMPLING", "Bank", "Compute", "Draw", "Hold", "Ledger", "MeteredModel", "Purse", "ReplayModel", "bill",
    "panel_key", "sample_key",
]  # fmt: skip
