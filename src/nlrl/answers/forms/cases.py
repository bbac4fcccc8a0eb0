r"""Systems and piecewise definitions: what stands in a `cases` environment.

cases(r"\begin{cases}x=1\\y=2\end{cases}")             [Group("bare", x = 1, y = 2)]
cases(r"\begin{cases}1&x>0\\0&x\le 0\end{cases}")      [Group("cases", (1, x > 0), (0, x ≤ 0))]
"""

from __future__ import annotations

import re

from nlrl.answers.forms.brackets import Part
from nlrl.answers.forms.clean import CLOSE_SET, OPEN_SET, trim
from nlrl.answers.forms.shapes import Form, Group, Reading, Relation

_CASES = re.compile(
    r"(?:(?P<name>[^=\\{}]{1,30})=\s*)?(?P<brace>[⦃{]?)\s*\\begin\s*\{(?P<env>[dr]?cases|array|aligned|gathered)\}"
    r"(?:\s*\{[lcr| ]*\})?(?P<rows>.*)\\end\s*\{(?P=env)\}\s*[⦄}.]?",
    re.S,
)
_CONDITION = re.compile(r"^(?:[,;]\s*)?(?:if|for|when|where|whenever|provided(?: that)?)\b\s*|^[,;:]\s*", re.I)
_INLINE = re.compile(r"(?:,|\s)\s*(?:if|for|when|where)\b", re.I)
_OTHERWISE = re.compile(r"(?:otherwise|else|elsewhere|in all other cases)", re.I)


def cases(text: str, part: Part) -> list[Reading]:
    """The rows of a system, or the values and conditions of a piecewise definition; a name may stand in front."""
    match = _CASES.fullmatch(text)
    if not match or (match.group("env") == "array" and match.group("brace") not in ("{", OPEN_SET)):
        return []
    rows = [row.strip() for row in re.split(r"\\\\", match.group("rows")) if row.strip()]
    if not rows or len(rows) > 20 or CLOSE_SET in match.group("rows").replace(OPEN_SET, "", 1)[-1:]:
        return []
    split = [_row(row) for row in rows]
    if any(condition is None for _, condition in split):
        # a row without a condition: equations of a system
        if any(condition for _, condition in split):
            return []
        group = Group("bare", tuple(part(value) for value, _ in split))
    else:
        group = Group("cases", tuple(_pair(value, condition or "", part) for value, condition in split))
    if not match.group("name"):
        return [group]
    return [
        Relation(
            "=",
            part(match.group("name")),
            Form(text, "", (group,), key="s:" + text),
            name=match.group("name").replace(" ", ""),
        )
    ]


def _row(row: str) -> tuple[str, str | None]:
    value, ampersand, condition = row.partition("&")
    if not ampersand:
        inline = _INLINE.search(row)
        if not inline:
            return trim(row), None
        value, condition = row[: inline.start()], row[inline.start() :]
    condition = condition.replace("&", " ").strip()
    if not condition:
        return trim(value), None
    if re.match(r"[=<>≤≥]", condition):  # aligned at the sign: an equation
        return trim(value + " " + condition), None
    return trim(value), trim(_CONDITION.sub("", condition.strip()))


def _pair(value: str, condition: str, part: Part) -> Form:
    if _OTHERWISE.fullmatch(condition):
        condition = "otherwise"
    pair = (part(value), part(condition))
    return Form(f"{value} & {condition}", "", (Group("tuple", pair),), key=f"s:{value} & {condition}")
