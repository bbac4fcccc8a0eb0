"""Models that are scripted or right by chance, a server to stand in for an upstream, and made-up traces.

Names are loaded when first used. No room imports this one; its models are reached by name (`stochastic:0.6`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.testing.scripted import ScriptedModel, StochasticModel
    from nlrl.testing.stub_server import Manners, StubServer

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.testing.scripted": ("ScriptedModel", "StochasticModel"),
    "nlrl.testing.stub_server": ("Manners", "StubServer"),
})  # fmt: skip

__all__ = [
    "Manners", "ScriptedModel", "StochasticModel", "StubServer",
]  # fmt: skip
