"""How good is an answer: graders, judges, constraints, and step-wise reward models (`prm`).

Names are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.verifiers.code import CodeVerifier
    from nlrl.verifiers.composite import Composite
    from nlrl.verifiers.confidence import SelfCertainty
    from nlrl.verifiers.constraints import ConstraintVerifier
    from nlrl.verifiers.functions import as_verifier
    from nlrl.verifiers.judge import LLMJudge
    from nlrl.verifiers.math import MathVerifier
    from nlrl.verifiers.mocks import MockRewardModel
    from nlrl.verifiers.prm.confidence import ConfidencePRM
    from nlrl.verifiers.prm.huggingface import HuggingFacePRM
    from nlrl.verifiers.prm.judge import JudgePRM
    from nlrl.verifiers.prm.server import ServerPRM
    from nlrl.verifiers.prm.steps import steps_of
    from nlrl.verifiers.prm.trained import TrainedPRM, load_prm
    from nlrl.verifiers.reference import ReferenceVerifier
    from nlrl.verifiers.registry import VERIFIER_NAMES, VERIFIER_PREFIXES, AutoVerifier, get_verifier
    from nlrl.verifiers.second_look import SecondLook
    from nlrl.verifiers.text import TextVerifier

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.verifiers.code": ("CodeVerifier",),
    "nlrl.verifiers.composite": ("Composite",),
    "nlrl.verifiers.confidence": ("SelfCertainty",),
    "nlrl.verifiers.constraints": ("ConstraintVerifier",),
    "nlrl.verifiers.functions": ("as_verifier",),
    "nlrl.verifiers.judge": ("LLMJudge",),
    "nlrl.verifiers.math": ("MathVerifier",),
    "nlrl.verifiers.mocks": ("MockRewardModel",),
    "nlrl.verifiers.prm.confidence": ("ConfidencePRM",),
    "nlrl.verifiers.prm.huggingface": ("HuggingFacePRM",),
    "nlrl.verifiers.prm.judge": ("JudgePRM",),
    "nlrl.verifiers.prm.server": ("ServerPRM",),
    "nlrl.verifiers.prm.steps": ("steps_of",),
    "nlrl.verifiers.prm.trained": ("TrainedPRM", "load_prm"),
    "nlrl.verifiers.reference": ("ReferenceVerifier",),
    "nlrl.verifiers.registry": ("AutoVerifier", "VERIFIER_NAMES", "VERIFIER_PREFIXES", "get_verifier"),
    "nlrl.verifiers.second_look": ("SecondLook",),
    "nlrl.verifiers.text": ("TextVerifier",),
})  # fmt: skip

__all__ = [
    "AutoVerifier", "CodeVerifier", "Composite", "ConfidencePRM", "ConstraintVerifier", "HuggingFacePRM", "JudgePRM",
    "LLMJudge", "MathVerifier", "MockRewardModel", "ReferenceVerifier", "SecondLook", "SelfCertainty", "ServerPRM",
    "TextVerifier", "TrainedPRM", "VERIFIER_NAMES", "VERIFIER_PREFIXES", "as_verifier", "get_verifier", "load_prm",
    "steps_of",
]  # fmt: skip
