"""A small world for measuring search: arithmetic chains, a tiny generator and a tiny process reward model.

task.py    problems of 2 to 8 steps, and the exact check of every step
text.py    characters to tokens and back
net.py     the transformer, with and without a cache
fit.py     training: the generator on chains, the reward model on Monte-Carlo rollouts
decode.py  decoding of all requests in flight as one batch
model.py   `ChainModel`, the generator as a `core.Model`
prm.py     `ChainPRM`, the reward model as a process verifier that says what it reads
world.py   one seed of everything: data, generator, reward models

Used by benchmark scripts only.
"""
