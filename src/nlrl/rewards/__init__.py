"""How good is an answer: extraction, equivalence, verifiers and reward models.

Names are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

_HOMES = {
    "AutoVerifier": "registry", "CodeVerifier": "code", "Composite": "composite", "ConstraintVerifier": "constraints",
    "Equivalence": "equivalence", "Extraction": "extraction", "LLMJudge": "judge", "MathVerifier": "math",
    "MockRewardModel": "mocks", "ReferenceVerifier": "reference", "SecondLook": "second_look",
    "SelfCertainty": "confidence", "TextVerifier": "text", "VERIFIER_NAMES": "registry", "canonical": "equivalence",
    "default_equivalence": "equivalence", "extract_answer": "extraction", "get_verifier": "registry",
    "match_choice": "choices",
    "ConfidencePRM": "process_confidence", "HuggingFacePRM": "process_hf", "JudgePRM": "process_judge",
    "ServerPRM": "process_server", "TrainedPRM": "process_trained", "VERIFIER_PREFIXES": "registry",
    "as_verifier": "functions", "load_prm": "process_trained", "steps_of": "process_steps",
}  # fmt: skip

__all__ = [
    "VERIFIER_NAMES", "VERIFIER_PREFIXES", "AutoVerifier", "CodeVerifier", "Composite", "ConfidencePRM",
    "ConstraintVerifier", "Equivalence", "Extraction", "HuggingFacePRM", "JudgePRM", "LLMJudge", "MathVerifier",
    "MockRewardModel", "ReferenceVerifier", "SecondLook", "SelfCertainty", "ServerPRM", "TextVerifier", "TrainedPRM",
    "as_verifier", "canonical", "default_equivalence", "extract_answer", "get_verifier", "load_prm", "match_choice",
    "steps_of",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"nlrl.rewards.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
