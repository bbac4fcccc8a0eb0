"""One prompt as plain text for each kind of problem, as `get_dynamic_prompt` fills it.

Each asks for Chain-of-Thought (Wei et al. 2022, 2201.11903), states how hard the task is and how many steps it should
take, and ends with the contract line that the stop rules and the extraction know.
"""

from __future__ import annotations

EXAMPLE_MATH_PROBLEM = """\
# Example
Problem: Find the integral of x^2 dx.

Chain-of-Thought:
1. By the power rule the integral of x^n is x^(n+1)/(n+1); here n = 2.
2. It is an indefinite integral, so a constant C is added.

Final Answer: x^3/3 + C
"""

PROMPT_TEMPLATES = {  # each ends where the model is to begin: small models that are only told to think first do not
    "math": """\
You solve mathematical problems step by step (Chain-of-Thought), one short calculation per line.
(Difficulty: {difficulty}, Steps: {steps})
Begin with "Chain-of-Thought:" and number your steps. End with one line that begins with "Final Answer:" and gives the \
result.

{context}# Your problem
Problem: {problem}

Chain-of-Thought:
""",
    "coding": """\
You are an experienced Python developer. Think step by step (Chain-of-Thought) before you write.
(Difficulty: {difficulty}, Steps: {steps})
Begin with "Chain-of-Thought:" and a few numbered steps. Then write "Final Answer:" and one ```python block that holds \
the whole, commented function.

{context}Task: {problem}

Chain-of-Thought:
""",
    "commonsense": """\
You answer questions. Think step by step (Chain-of-Thought), then answer with as few words as possible.
(Difficulty: {difficulty}, Steps: {steps})
Begin with "Chain-of-Thought:" and number your steps. End with one line that begins with "Final Answer:" and gives the \
answer.

{context}Question: {problem}

Chain-of-Thought:
""",
    "writing": """\
You write texts that meet every constraint exactly. Think step by step (Chain-of-Thought) about each of them.
(Difficulty: {difficulty}, Steps: {steps})
Begin with "Chain-of-Thought:" and number your steps. Then write "Final Answer:" and the text, and nothing after it.

{context}Task: {problem}

Chain-of-Thought:
""",
}
