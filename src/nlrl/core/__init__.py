"""Nouns, contracts and errors. Standard library only; every other room may import this one."""

from nlrl.core.answers import Answer, Candidate, Score, Stopped, Verdict
from nlrl.core.completions import (
    Capabilities,
    Completion,
    Delta,
    Finish,
    Gist,
    Message,
    Prices,
    Request,
    Sampling,
    TokenLogprob,
    assistant,
    system,
    user,
)
from nlrl.core.errors import (
    BankError,
    BudgetExhausted,
    DataError,
    EnvironmentFailed,
    MissingExtra,
    ModelError,
    ModelMissing,
    ModelRefused,
    ModelUnavailable,
    NlrlError,
    NotInBank,
    PromptTooLong,
    SandboxUnavailable,
    UnknownName,
    UserError,
    VerifierError,
)
from nlrl.core.problems import ANSWER_PHRASE, CodeTests, InputOutput, Problem, TaskType, blind
from nlrl.core.protocols import Environment, Model, PricedVerifier, SpendingVerifier, Verifier
from nlrl.core.usage import NOTHING, Budget, Phase, Spend, Usage

__all__ = [
    "NOTHING",
    "ANSWER_PHRASE", "Answer", "BankError", "Budget", "BudgetExhausted", "Candidate", "Capabilities", "CodeTests",
    "Completion", "DataError", "Delta", "Environment", "EnvironmentFailed", "Finish", "Gist", "InputOutput", "Message",
    "MissingExtra", "Model", "ModelError", "ModelMissing", "ModelRefused", "ModelUnavailable", "NlrlError",
    "NotInBank", "Phase", "PricedVerifier", "Prices", "Problem", "PromptTooLong", "Request", "Sampling",
    "SandboxUnavailable", "Score", "Spend", "SpendingVerifier", "Stopped", "TaskType", "TokenLogprob",
    "UnknownName", "Usage", "UserError", "Verdict", "Verifier", "VerifierError", "assistant", "blind", "system",
    "user",
]  # fmt: skip
