"""A server behind the OpenAI API as a model.

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.models.openai.model import OPENAI_URL, OpenAIModel, checked_url, host_of

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.models.openai.model": ("OPENAI_URL", "OpenAIModel", "checked_url", "host_of"),
})  # fmt: skip

__all__ = [
    "OPENAI_URL", "OpenAIModel", "checked_url", "host_of",
]  # fmt: skip
