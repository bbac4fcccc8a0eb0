"""What is kept: the sample bank, what it holds at one moment, and models that replay it.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.bank.replay_model import ReplayModel
    from nlrl.bank.samples import Bank, Draw, panel_key, sample_key
    from nlrl.bank.snapshot import Snapshot

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.bank.replay_model": ("ReplayModel",),
    "nlrl.bank.samples": ("Bank", "Draw", "panel_key", "sample_key"),
    "nlrl.bank.snapshot": ("Snapshot",),
})  # fmt: skip

__all__ = [
    "Bank", "Draw", "ReplayModel", "Snapshot", "panel_key", "sample_key",
]  # fmt: skip
