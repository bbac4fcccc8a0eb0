"""Asking once: a language policy for problems that have one answer, and how it is improved.

From the bottom: `policy` (what is said to the model), `rollouts` (its answers, judged), `critique` and `proposals`
(what they teach, and the change that follows), `acceptance` and `pool` (what stays), `improve_policy` (the loop).
"""
