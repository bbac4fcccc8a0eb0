"""Programs read out of completions: every shape must give a program that runs."""

# ruff: noqa: E501  (programs in strings)
from __future__ import annotations

import textwrap
import time

import pytest

from nlrl.answers.code_extraction import extract_code
from nlrl.core import CodeTests, Problem, TaskType

PROMPT = (
    "from typing import List\nimport math\n\n\ndef helper(x):\n    return x + 1\n\n\n"
    'def area(sides: List[int]) -> float:\n    """Product of the sides after `helper`.\n\n'
    '    >>> area([1, 2])\n    6\n    """\n'
)
BODY = "    out = 1\n    for s in sides:\n        out *= helper(s)\n    return math.floor(out)\n"
SOLUTION = PROMPT + BODY
TESTS = CodeTests(("assert area([1, 2]) == 6",), entry_point="area")
PROBLEM = Problem(PROMPT, task_type=TaskType.CODING, tests=TESTS)
CHAT = Problem(f"Complete this function.\n\n```python\n{PROMPT}```\nReply with code.", tests=TESTS)
ONLY_FUNCTION = SOLUTION[SOLUTION.index("def area") :]

SHAPES = {
    "fenced": f"Here it is:\n```python\n{SOLUTION}```\nIt works.",
    "fenced without language": f"```\n{SOLUTION}```",
    "tilde fence": f"~~~python\n{SOLUTION}~~~",
    "indented fence": textwrap.indent(f"```python\n{SOLUTION}```", "   "),
    "unclosed fence": f"```python\n{SOLUTION}",
    "cut off after the function": f"```python\n{SOLUTION}\nif __name__ ==",
    "raw": SOLUTION,
    "raw in prose": f"Here is the code:\n\n{SOLUTION}\nThis works because it multiplies, you see.",
    "body": BODY,
    "body then rambling": BODY + "\nprint(area([1]))\nSome more text here.",
    "dedented body": textwrap.dedent(BODY),
    "body in a fence": f"```python\n{BODY}```",
    "no imports, no helper": f"```python\n{ONLY_FUNCTION}```",
    "usage after it": f"```python\n{SOLUTION}```\nUse it so:\n```python\nprint(area([1, 2]))\n```",
    "a shell block after it": f"```python\n{SOLUTION}```\n```bash\npython area.py\n```",
    "two versions": f"```python\ndef area(sides):\n    return 0\n```\nBetter:\n```python\n{SOLUTION}```",
    "windows line ends": f"```python\n{SOLUTION}```".replace("\n", "\r\n"),
    "tabs": f"```python\n{SOLUTION}```".replace("    ", "\t"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("problem", [PROBLEM, CHAT], ids=["completion", "chat"])
def test_every_shape_gives_a_program_that_runs(shape: str, problem: Problem) -> None:
    code = extract_code(SHAPES[shape], problem)
    assert code is not None
    space: dict[str, object] = {}
    exec(compile(code, "<extracted>", "exec"), space)  # noqa: S102  our own source
    area = space["area"]
    assert callable(area)
    assert area([1, 2]) == 6


@pytest.mark.parametrize("text", ["", "   ", "I do not know.", "Sure! Here you go.", "```\n\n```", "42"])
def test_no_code_is_none(text: str) -> None:
    assert extract_code(text, PROBLEM) is None


def test_code_that_defines_something_else_is_still_the_answer() -> None:
    code = extract_code("```python\ndef volume(x):\n    return x\n```", PROBLEM)
    assert code is not None and "def volume" in code


def test_a_broken_block_is_still_the_answer() -> None:
    code = extract_code("```python\ndef area(sides:\n    return (\n```", PROBLEM)
    assert code is not None and "def area" in code


def test_a_future_import_stays_first() -> None:
    code = extract_code(f"```python\nfrom __future__ import annotations\n{ONLY_FUNCTION}```", PROBLEM)
    assert code is not None
    compile(code, "<extracted>", "exec")
    assert "def helper" in code


# --- one function, in every dress -----------------------------------------------------------------------------------

DOUBLE = Problem(
    "Write a Python function `double(x)`.", tests=CodeTests(("assert double(2) == 4",), entry_point="double")
)
WHOLE = "def double(x):\n    return 2 * x\n"
NOTE = '"""Twice.\n\n    ```python\n    >>> double(2)\n    ```\n    """'

DRESSES = {
    "helper before": "```python\ndef twice(x):\n    return 2 * x\n```\nthen\n```python\ndef double(x):\n    return twice(x)\n```",
    "helper behind": "```python\ndef double(x):\n    return twice(x)\n```\nwith\n```python\ndef twice(x):\n    return 2 * x\n```",
    "chain of helpers": (
        "```python\nimport operator\n```\n```python\ndef a(x):\n    return operator.mul(x, TWO)\nTWO = 2\n```\n"
        "```python\ndef double(x):\n    return a(x)\n```"
    ),
    "star import of its own": "```python\nfrom math import *\n```\n```python\ndef double(x):\n    return int(fsum([x, x]))\n```",
    "class of its own": (
        "```python\nclass N:\n    def __init__(self, x): self.x = x\n```\n```python\ndef double(x):\n    return N(x).x * 2\n```"
    ),
    "values filled in elsewhere": "```python\nT = {}\nT[2] = 4\n```\n```python\ndef double(x):\n    return T[x]\n```",
    "spaces of a web page": "```python\ndef double(x):\n\u2003\u2003\u202f\u3000y = x\n\u2003\u2003\u202f\u3000return 2 * y\n```",
    "zero width everywhere": "```python\n\u200bdef\u200b double(x):\u200d\n    return\u2060 2 * x\n```",
    "byte order mark before a fence": "\ufeff```python\n" + WHOLE + "```",
    "curled quotes": "```python\ndef double(x):\n    “”” Twice “””\n    s = ‘a’\n    return 2 * x\n```",
    "entities": "```python\ndef double(x):\n    return 2 * x if x &gt; 0 &amp;&amp; 1 or x &lt; 9 else None\n```".replace(
        "&amp;&amp;", "and"
    ),
    "entities in quotes": "```python\ndef double(x):\n    s = &quot;a&#39;b&quot;\n    return 2 * x if x &lt; 9 else s\n```",
    "interpreter": "```\n>>> def double(x):\n...     return 2 * x\n...\n>>> double(2)\n4\n```",
    "interpreter without a fence": ">>> import math\n>>> def double(x):\n...     return 2 * x\n... \n>>> double(2)\n4",
    "notebook": "```\nIn [1]: def double(x):\n   ...:     return 2 * x\n   ...: \n\nIn [2]: double(2)\nOut[2]: 4\n```",
    "fence in a docstring": f"```python\ndef double(x):\n    {NOTE}\n    return 2 * x\n```\nand\n```\n4\n```",
    "fence in a text": "~~~py\nX = '''\n~~~\n'''\ndef double(x):\n    return 2 * x\n~~~",
    "fence in a comment of another block": "```bash\npip install x\n```\n```python\n" + WHOLE + "```",
    "input behind it": "```python\n"
    + WHOLE
    + "\nn, m = map(int, input().split())\nfor i in range(n):\n    print(double(i))\n```",
    "files behind it": "```python\nimport json, sys\n"
    + WHOLE
    + "\ndata = json.load(open('data.json'))\nsys.exit(0)\n```",
    "plots behind it": "```python\nimport matplotlib.pyplot as plt\n"
    + WHOLE
    + "\nplt.plot(double(1))\nplt.show()\n```",
    "tests behind it": "```python\nimport unittest\n"
    + WHOLE
    + "\nclass T(unittest.TestCase):\n    def test(self): pass\nunittest.main()\n```",
    "a failing demo before it": "```python\nvalue = undefined_name\n" + WHOLE + "```",
    "what it needs stays": (
        "```python\nimport sys\nsys.setrecursionlimit(5000)\nT = []\nfor i in range(5):\n    T.append(2 * i)\n"
        "def double(x):\n    return T[x]\nprint(T[99])\n```"
    ),
    "a registry stays": (
        "```python\nF = {}\ndef register(f):\n    F['d'] = f\n    return f\n@register\ndef two(x):\n    return 2 * x\n"
        "def double(x):\n    return F['d'](x)\nF['no']\n```"
    ),
    "marks": "[PYTHON]\n" + WHOLE + "[/PYTHON]\nThat is it.",
    "mark behind": WHOLE + "[DONE]\n\nYou are an expert.",
    "end of text": WHOLE.rstrip() + "</s><s>[INST] next",
    "turn of a template": "```python\n" + WHOLE + "```<|eot_id|><|start_header_id|>user",
    "html": "<pre><code>def double(x):\n    if x &lt; 0 and x &gt; 1: pass\n    return 2 * x</code></pre>",
    "coloured html": '<pre class="hl"><span class="k">def</span> double(x):\n    <span class="k">return</span> 2*x</pre>',
    "html with breaks": "<code>def double(x):<br>    return 2*x<br></code>",
    "stub behind": "```python\n"
    + WHOLE
    + "```\n```python\ndef double(x):\n    # your code here\n    raise NotImplementedError()\n```",
    "only prototypes behind": "```python\n" + WHOLE + '```\n```python\ndef double(x):\n    """Twice."""\n    ...\n```',
    "quoted": "> Sure:\n>\n> ```python\n> def double(x):\n>     return 2 * x\n> ```\n>\n> Done.",
    "quoted without a fence": "> def double(x):\n>     return 2 * x",
    "indented by Markdown": "So:\n\n    def double(x):\n        return 2 * x\n\nThat is all.",
    "in a list": "- Do it:\n  ```python\n  def double(x):\n      return 2 * x\n  ```",
    "fence on one line": "```python def double(x): return 2 * x```",
    "fence on one line, no language": "Use ```def double(x): return 2 * x``` for it.",
    "inline": "The function is `double = lambda x: 2 * x`.",
    "code behind the opening fence": "```python def double(x):\n    return 2 * x\n```",
    "closing fence behind the code": "```python\ndef double(x):\n    return 2 * x```",
    "opening fence behind a word": "Here: ```python\ndef double(x):\n    return 2 * x\n```",
    "prose between": "import math\nOh, once more\nfrom math import floor\n\ndef double(x):\n    return floor(2 * x)\nAs you see",
    "method of Solution": "```python\nclass Solution:\n    def double(self, x: int) -> int:\n        return 2 * x\n\nprint(Solution().double(int(input())))\n```",
    "after thinking in code": "```python\ndef double(x):\n    return x\n```\nNo.\n```python\ndef double(x):\n    return x + x\n```\n```python\nprint(double(1))\n```",
}


@pytest.mark.parametrize("dress", DRESSES)
def test_every_dress_gives_the_function(dress: str) -> None:
    code = extract_code(DRESSES[dress], DOUBLE)
    assert code is not None
    space: dict[str, object] = {}
    exec(compile(code, "<extracted>", "exec"), space)  # noqa: S102  our own source
    double = space.get("double") or space["Solution"]().double  # type: ignore[operator,attr-defined]
    assert double(2) == 4


BODIES = {
    "first line without indent": "out = 1\n    for s in sides:\n        out *= helper(s)\n    return math.floor(out)",
    "first line with one space": " out = 1\n    for s in sides:\n        out *= helper(s)\n    return math.floor(out)",
    "a block begins on the first line": "for s in [0]:\n        out = 1\n    for s in sides:\n        out *= helper(s)\n    return math.floor(out)",
    "first line lost, then rambling": "out = helper(1) * helper(2)\n    return out\n\nprint(area([1]))\nDone.",
    "a comment first": "# multiply\n    out = helper(1)\n    return out * helper(2)",
    "fenced, first line lost": "```python\nout = helper(1)\n    return out * helper(2)\n```",
    "three spaces": "   out = helper(1)\n   return out * helper(2)",
    "a comment at the margin": "    out = helper(1)\n# and now\n    return out * helper(2)",
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("problem", [PROBLEM, CHAT], ids=["completion", "chat"])
def test_every_body_gives_a_program_that_runs(body: str, problem: Problem) -> None:
    code = extract_code(BODIES[body], problem)
    assert code is not None
    space: dict[str, object] = {}
    exec(compile(code, "<extracted>", "exec"), space)  # noqa: S102  our own source
    assert space["area"]([1, 2]) == 6  # type: ignore[operator]


def test_strings_keep_their_characters() -> None:
    source = "def double(x):\n    s = '\u00a0\u200b“&lt;'  # \u2003&gt;\n    return 2 * x\n"
    assert extract_code(f"```python\n{source}```", DOUBLE) == source


def test_a_wrong_function_stays_wrong_without_its_demo() -> None:
    code = extract_code("```python\ndef double(x):\n    return 3 * x\n\nassert double(2) == 6\n```", DOUBLE)
    assert code == "def double(x):\n    return 3 * x\n"


def test_what_the_tests_ask_for_stays() -> None:
    tests = CodeTests(("assert double(N) == 4",), entry_point="double")
    code = extract_code(
        "```python\nN = 2\nM = input()\ndef double(x):\n    return 2 * x\n```", Problem("q", tests=tests)
    )
    assert code is not None and "N = 2" in code and "input" not in code


def test_without_an_entry_point_nothing_is_left_out() -> None:
    source = "n = int(input())\nprint(2 * n)\n"
    assert extract_code(f"```python\n{source}```", Problem("q", tests=CodeTests(("assert x",)))) == source


@pytest.mark.parametrize(
    "text",
    [
        "```python\n" * 3000,
        "<pre" * 30000,
        '"""' * 20000 + "'''",
        "```python\n" + "def double(x):\n    return (\n" * 3000,
        "> " * 50000,
        "class Solution:\n" * 5000 + "    def doublex(self): pass\n",
        "def double(x):\n    return 2\n" + "\u200b" * 100000,
        "&lt;" * 40000,
        ">>> x\n" * 20000,
        "import a\nprose here\n" * 5000,
    ],
    ids=range(10),
)
def test_hostile_texts_take_no_time(text: str) -> None:
    start = time.process_time()
    extract_code(text, DOUBLE)
    assert time.process_time() - start < 3
