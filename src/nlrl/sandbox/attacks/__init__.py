"""Programs that try to cheat, to get out, or to use everything up, and the range on which they are tried.

    with Range() as target:
        for attack in ALL:
            breach = await target.attempt(sandbox, attack)     # "" where it was contained

They know how the sandbox is built. Used by the tests, by the benchmark, and by `python -m nlrl.sandbox --attacks`
on the machine where it matters.
"""

from nlrl.sandbox.attacks.attack import Attack, Kind
from nlrl.sandbox.attacks.escape import ESCAPES
from nlrl.sandbox.attacks.exhaust import EXHAUSTIONS
from nlrl.sandbox.attacks.forge import FORGERIES
from nlrl.sandbox.attacks.target import Range

ALL: tuple[Attack, ...] = (*FORGERIES, *ESCAPES, *EXHAUSTIONS)

__all__ = ["ALL", "ESCAPES", "EXHAUSTIONS", "FORGERIES", "Attack", "Kind", "Range"]
