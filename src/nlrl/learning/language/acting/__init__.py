"""Acting step by step: language policy iteration in environments.

From the bottom: `texts` (what is written and read), `desk` (who is asked), `operators` (G1, G2, I), `values` and
`policies` (V and pi), `evaluation` and `improvement` (the two halves of an iteration), `gpi` (the loop).
"""
