"""How good is an answer: extraction, equivalence, verifiers and reward models.

Names are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.rewards.choices import match_choice
    from nlrl.rewards.code import CodeVerifier
    from nlrl.rewards.composite import Composite
    from nlrl.rewards.confidence import SelfCertainty
    from nlrl.rewards.constraints import ConstraintVerifier
    from nlrl.rewards.equivalence import Equivalence, canonical, default_equivalence
    from nlrl.rewards.extraction import Extraction, extract_answer
    from nlrl.rewards.functions import as_verifier
    from nlrl.rewards.judge import LLMJudge
    from nlrl.rewards.math import MathVerifier
    from nlrl.rewards.mocks import MockRewardModel
    from nlrl.rewards.process_confidence import ConfidencePRM
    from nlrl.rewards.process_hf import HuggingFacePRM
    from nlrl.rewards.process_judge import JudgePRM
    from nlrl.rewards.process_server import ServerPRM
    from nlrl.rewards.process_steps import steps_of
    from nlrl.rewards.process_trained import TrainedPRM, load_prm
    from nlrl.rewards.reference import ReferenceVerifier
    from nlrl.rewards.registry import VERIFIER_NAMES, VERIFIER_PREFIXES, AutoVerifier, get_verifier
    from nlrl.rewards.second_look import SecondLook
    from nlrl.rewards.text import TextVerifier

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.rewards.choices": ("match_choice",),
    "nlrl.rewards.code": ("CodeVerifier",),
    "nlrl.rewards.composite": ("Composite",),
    "nlrl.rewards.confidence": ("SelfCertainty",),
    "nlrl.rewards.constraints": ("ConstraintVerifier",),
    "nlrl.rewards.equivalence": ("Equivalence", "canonical", "default_equivalence"),
    "nlrl.rewards.extraction": ("Extraction", "extract_answer"),
    "nlrl.rewards.functions": ("as_verifier",),
    "nlrl.rewards.judge": ("LLMJudge",),
    "nlrl.rewards.math": ("MathVerifier",),
    "nlrl.rewards.mocks": ("MockRewardModel",),
    "nlrl.rewards.process_confidence": ("ConfidencePRM",),
    "nlrl.rewards.process_hf": ("HuggingFacePRM",),
    "nlrl.rewards.process_judge": ("JudgePRM",),
    "nlrl.rewards.process_server": ("ServerPRM",),
    "nlrl.rewards.process_steps": ("steps_of",),
    "nlrl.rewards.process_trained": ("TrainedPRM", "load_prm"),
    "nlrl.rewards.reference": ("ReferenceVerifier",),
    "nlrl.rewards.registry": ("AutoVerifier", "VERIFIER_NAMES", "VERIFIER_PREFIXES", "get_verifier"),
    "nlrl.rewards.second_look": ("SecondLook",),
    "nlrl.rewards.text": ("TextVerifier",),
})  # fmt: skip

__all__ = [
    "VERIFIER_NAMES", "VERIFIER_PREFIXES", "AutoVerifier", "CodeVerifier", "Composite", "ConfidencePRM",
    "ConstraintVerifier", "Equivalence", "Extraction", "HuggingFacePRM", "JudgePRM", "LLMJudge", "MathVerifier",
    "MockRewardModel", "ReferenceVerifier", "SecondLook", "SelfCertainty", "ServerPRM", "TextVerifier", "TrainedPRM",
    "as_verifier", "canonical", "default_equivalence", "extract_answer", "get_verifier", "load_prm", "match_choice",
    "steps_of",
]  # fmt: skip
