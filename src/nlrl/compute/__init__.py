"""The purse: budget, ledger, sample bank, and `Compute`, the handle every strategy spends through."""

from nlrl.compute.bank import Bank, Draw, panel_key, sample_key
from nlrl.compute.bill import bill
from nlrl.compute.handle import DEFAULT_SAMPLING, Compute
from nlrl.compute.ledger import Hold, Ledger
from nlrl.compute.metered import MeteredModel
from nlrl.compute.purse import Purse
from nlrl.compute.replay_model import ReplayModel
from nlrl.compute.strategy import Strategy

__all__ = [
    "DEFAULT_SAMPLING", "Bank", "Compute", "Draw", "Hold", "Ledger", "MeteredModel", "Purse", "ReplayModel", "Strategy",
    "bill", "panel_key", "sample_key",
]  # fmt: skip
