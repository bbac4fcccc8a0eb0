"""What runs look like on a page: the frame of an HTML file, and the style that all of them share (`assets`).

Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlrl.core.faces import lazy

if TYPE_CHECKING:
    from nlrl.report.html_page import write_page

__getattr__, __dir__ = lazy(__name__, {
    "nlrl.report.html_page": ("write_page",),
})  # fmt: skip

__all__ = [
    "write_page",
]  # fmt: skip
