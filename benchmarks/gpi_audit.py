"""Style against substance: a fluent but wrong critic must rank below a terse and right one.

    python benchmarks/gpi_audit.py [--quick] [--model qwen2.5-coder-0.5b]

Critics speak of every action on slippery FrozenLake: right or wrong (the same numbers, mirrored), tersely or in warm
prose. Each is audited against exact values with an exact reader, and with --model also with that language model as the
reader, to see how far prose carries it away. Last, the trap: the best action is described tersely and rightly, the
worst in praise without a number; how often is it chosen? Mark: both right critics rank above both wrong ones.
"""

from __future__ import annotations

import argparse
import asyncio

from equipment.marks import Marks
from nlrl.core import Model
from nlrl.environments import make
from nlrl.environments.exact import Solution, value_iteration
from nlrl.environments.finite import FiniteEnvironment, State
from nlrl.learning.language.acting.audit import Audit, Speaker, audit, ranked
from nlrl.learning.language.acting.desk import Desk, Role
from nlrl.learning.language.acting.operators import Operators
from nlrl.learning.language.acting.oracle import OracleModel

PRAISE = (
    "Having weighed every consideration with care, I find that {action} is a thoughtful and elegant choice here: it "
    "keeps the initiative, respects the shape of the position, and opens the way to a harmonious continuation."
)
DOUBT = (
    "After long and careful thought I cannot warm to {action}: it concedes ground for no clear return, sits uneasily "
    "with the rest of the plan, and leaves one hoping for kindness that experience rarely shows."
)


def critics(env: FiniteEnvironment, exact: Solution) -> dict[str, Speaker]:
    def number(state: State, action: str, *, right: bool) -> float:
        q = [exact.q[state, a] for a in env.actions(state)]
        value = exact.q[state, action]
        return value if right else max(q) + min(q) - value

    def critic(*, right: bool, fluent: bool) -> Speaker:
        async def said(state: State, action: str) -> str:
            value = number(state, action, right=right)
            q = [number(state, a, right=right) for a in env.actions(state)]
            prose = (PRAISE if 2 * value >= max(q) + min(q) else DOUBT).format(action=action)
            return f"{prose} Worth: {value:.3f}" if fluent else f"Worth: {value:.3f}"

        return said

    async def evasive(state: State, action: str) -> str:
        return PRAISE.format(action=action)

    return {
        "terse and right": critic(right=True, fluent=False),
        "fluent and right": critic(right=True, fluent=True),
        "terse and wrong": critic(right=False, fluent=False),
        "fluent and wrong": critic(right=False, fluent=True),
        "fluent, without a number": evasive,
    }


async def trap(operators: Operators, exact: Solution) -> dict[str, float]:
    """Shares of states where the best action, the praised worst one, or neither is chosen."""
    env, chosen = operators.env, {"best": 0, "praised": 0}
    states = [s for s in env.states() if len({round(exact.q[s, a], 6) for a in env.actions(s)}) > 1]
    for state in states:
        actions = sorted(env.actions(state), key=lambda a: exact.q[state, a])
        said = {a: f"Worth: {exact.q[state, a]:.3f}" for a in actions} | {actions[0]: PRAISE.format(action=actions[0])}
        decision = await operators.improve(state, [(a, said[a]) for a in env.actions(state)])
        best = max(exact.q[state, a] for a in actions)
        chosen["best"] += decision.legal and exact.q.get((state, decision.action or ""), -1) >= best - 1e-9
        chosen["praised"] += decision.legal and decision.action == actions[0]
    return {name: n / len(states) for name, n in chosen.items()}


async def read_by(model: Model, name: str) -> tuple[dict[str, Audit], dict[str, float]]:
    env = make("frozen_lake(slippery=true)")
    exact = value_iteration(env)
    operators = Operators(env, Desk(OracleModel(), roles={Role.IMPROVE: model}))
    audits = {critic: await audit(operators, said, exact) for critic, said in critics(env, exact).items()}
    print(f"reader: {name}")
    print(f"  {'critic':<26}{'in order':>9}{'regret':>8}{'undecided':>11}{'words':>7}{'variety':>9}")
    for critic in ranked(audits):
        a = audits[critic]
        print(f"  {critic:<26}{a.in_order:>9.2f}{a.regret:>8.2f}{a.undecided:>11.2f}{a.words:>7.1f}{a.variety:>9.2f}")
    caught = await trap(operators, exact)
    print(f"  the trap: best action {caught['best']:.2f}, praised worst action {caught['praised']:.2f}\n", flush=True)
    return audits, caught


async def run(args: argparse.Namespace) -> int:
    marks = Marks("gpi_audit", args.quick)
    audits, caught = await read_by(OracleModel(), "exact")
    order = ranked(audits)
    marks.exact("right critics above wrong ones", set(order[:2]) == {"terse and right", "fluent and right"})
    marks.exact("falls for praise, share of states", caught["praised"], equal_to=0)
    readers = {"exact": {"ranked": order, "regret": {n: a.regret for n, a in audits.items()}, "trap": caught}}
    if args.model and not args.quick:
        from nlrl.models import load_model

        model = load_model(args.model)
        try:
            audits, caught = await read_by(model, args.model)
        finally:
            await model.aclose()
        regret = {n: a.regret for n, a in audits.items()}
        readers[args.model] = {"ranked": ranked(audits), "regret": regret, "trap": caught}
    return marks.result(readers=readers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only the exact reader")
    parser.add_argument(
        "--model", default="qwen2.5-coder-0.5b", help="a language model as a second reader; '' for none"
    )
    args = parser.parse_args()
    return asyncio.run(run(args))


if __name__ == "__main__":
    raise SystemExit(main())
