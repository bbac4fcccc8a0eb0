"""Language policy iteration with an exact oracle is policy iteration; with a clumsy model it counts and goes on."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.bank import Bank
from nlrl.core import Budget, BudgetExhausted, EnvironmentFailed, UserError
from nlrl.environments import make
from nlrl.environments.exact import mean_return, uniform_policy, value_iteration
from nlrl.environments.maze import Maze
from nlrl.learning.language.acting.desk import Desk, Heard, Role
from nlrl.learning.language.acting.episodes import play
from nlrl.learning.language.acting.evaluation import Evaluation, Evaluator, once
from nlrl.learning.language.acting.gpi import ActingSettings, Result, language_policy_iteration
from nlrl.learning.language.acting.improvement import Enumerate, Refine
from nlrl.learning.language.acting.operators import Operators, Variation
from nlrl.learning.language.acting.oracle import OracleModel
from nlrl.learning.language.acting.policies import PromptedPolicy, Table, Uniform
from nlrl.learning.language.acting.texts import UNKNOWN, Decision, worth
from nlrl.learning.language.acting.values import Retrieve, Store, Taken, TrainedValue, question
from nlrl.testing import ScriptedModel

UMAZE = "maze(layout=umaze)"


def bench(env=None, model=None, **options):
    env = env or make(UMAZE)
    desk = Desk(model or OracleModel(), **options)
    operators = Operators(env, desk)
    return env, operators, Store(operators), Table(env, Uniform(env))


def learn(operators, value, policy, **settings) -> Result:
    return asyncio.run(language_policy_iteration(operators, value, policy, ActingSettings(**settings)))


def numbers(value: Store, env) -> dict:
    return {s: worth(value.table.get(question(env, s), "")) or 0.0 for s in env.states()}


class TestOracle:
    def test_it_learns_the_optimum_of_a_maze(self) -> None:
        env, operators, value, policy = bench()
        result = learn(operators, value, policy, iterations=20)
        exact = value_iteration(env)
        assert result.stopped == "converged"
        assert numbers(value, env) == pytest.approx(exact.values, abs=1e-6)
        chosen = {s: policy.written(s).action for s in env.states()}
        assert mean_return(env, chosen) == pytest.approx(mean_return(env, exact.policy))

    @pytest.mark.parametrize(("sweeps", "steps"), [(1, 1), (3, 1), (2, 2)])
    def test_every_sweep_is_the_numeric_one(self, sweeps: int, steps: int) -> None:
        pytest.importorskip("gymnasium")
        env, operators, value, policy = bench(make("frozen_lake(slippery=true)"))
        learn(operators, value, policy, iterations=1, sweeps=sweeps, evaluation=Evaluation(steps=steps))
        expected = dict.fromkeys(env.states(), 0.0)
        for _ in range(sweeps * steps):
            expected = {s: _backup(env, expected, s) for s in env.states()}
        assert numbers(value, env) == pytest.approx(expected, abs=1e-7)

    def test_monte_carlo_comes_to_exact_evaluation(self) -> None:
        env, operators, value, policy = bench()
        best = value_iteration(env).policy
        asyncio.run(policy.fit([(s, Decision(f"Action: {a}", a, True)) for s, a in best.items()], seed=0))
        learn(operators, value, policy, iterations=1, evaluation=Evaluation(steps=None, samples=2))
        assert numbers(value, env) == pytest.approx(value_iteration(env).values)

    @pytest.mark.parametrize(
        "broken",
        [{"aggregate": "max"}, {"join": "no future"}, {"join": "no reward"}, {"improve": "random"}, {"words": True}],
        ids=str,
    )
    def test_what_is_broken_changes_its_name(self, broken: dict) -> None:
        assert OracleModel(**broken).name != OracleModel().name

    def test_other_prompts_and_mistakes_are_refused(self) -> None:
        desk = Desk(OracleModel())
        with pytest.raises(UserError, match="only the prompts"):
            asyncio.run(desk.say(Role.VALUE, "", "Tell me a joke."))
        with pytest.raises(UserError, match="cannot read"):
            asyncio.run(desk.say(Role.JOIN, "", "Join these two."))
        with pytest.raises(UserError, match="corrupt"):
            OracleModel(corrupt=2)


def _backup(env, values, state) -> float:
    actions = env.actions(state)
    return sum(
        o.probability * (o.reward + env.discount * (0.0 if o.terminal else values[o.state])) / len(actions)
        for a in actions
        for o in env.outcomes(state, a)
    )


class TestOperators:
    @given(st.permutations(range(7)), st.sampled_from(["mean", "first", "max"]))
    def test_law_the_order_of_variations_does_not_matter(self, order: list[int], aggregate: str) -> None:
        _, operators, _, _ = bench(model=OracleModel(aggregate=aggregate))
        said = [Variation(1 / 7, f"Worth: {i}") for i in order]
        straight = [Variation(1 / 7, f"Worth: {i}") for i in range(7)]
        assert asyncio.run(operators.aggregate(said)) == asyncio.run(operators.aggregate(straight))

    @given(st.lists(st.tuples(st.floats(0.01, 1), st.integers(-50, 50)), min_size=1, max_size=40), st.integers(2, 9))
    def test_law_merging_in_groups_is_merging_at_once(self, pairs: list, fan_in: int) -> None:
        _, operators, _, _ = bench()
        operators.fan_in = fan_in
        merged = worth(asyncio.run(operators.aggregate(Variation(p, f"Worth: {v}") for p, v in pairs)))
        expected = sum(p * v for p, v in pairs) / sum(p for p, _ in pairs)
        assert merged == pytest.approx(expected, abs=1e-5)

    def test_equal_variations_are_one_with_their_chances_together(self) -> None:
        heard: list[Heard] = []
        _, operators, _, _ = bench(on_heard=heard.append)
        text = asyncio.run(operators.aggregate([Variation(0.25, "Worth: 1"), Variation(0.5, "Worth: 4")] * 2))
        assert worth(text) == pytest.approx(3)
        assert heard[0].prompt.count("Variation") == 2

    def test_nothing_to_merge(self) -> None:
        _, operators, _, _ = bench()
        with pytest.raises(ValueError, match="no variation"):
            asyncio.run(operators.aggregate([Variation(1.0, "  ")]))

    def test_texts_without_content_or_number_are_counted(self) -> None:
        env, operators, value, policy = bench(model=ScriptedModel(["", "A fine place."], cycle=True))
        (state, *_) = env.states()
        asyncio.run(Evaluation(samples=2).target(operators, policy, value.read, state))
        assert operators.heard["empty"] + operators.heard["without a number"] >= 1

    def test_only_a_candidate_may_be_chosen(self) -> None:
        env, operators, _, _ = bench(model=ScriptedModel("Let me go. Action: move up"))
        decision = asyncio.run(operators.improve(env.states()[0], [("move left", "Worth: 1")]))
        assert decision == Decision("Let me go. Action: move up", "move up", False)


class TestEvaluation:
    def test_the_end_is_told_by_its_reward_and_never_by_a_value(self) -> None:
        env, operators, _, policy = bench(make("tic_tac_toe(first=true)"))
        last = next(s for s in env.states() if all(o.terminal for a in env.actions(s) for o in env.outcomes(s, a)))

        async def never(state):
            raise AssertionError("a value was asked for what follows the end")

        assert asyncio.run(Evaluation().target(operators, policy, never, last))

    def test_an_episode_that_was_cut_off_goes_on_with_the_value(self) -> None:
        env, operators, _, policy = bench()
        env.max_steps = 2
        far = min(value_iteration(env).values.items(), key=lambda pair: pair[1])[0]
        best = value_iteration(env).policy
        asyncio.run(policy.fit([(s, Decision(f"Action: {a}", a, True)) for s, a in best.items()], seed=0))

        async def minus_ten(state) -> str:
            return "Worth: -10"

        text = asyncio.run(Evaluation(steps=None, samples=1).target(operators, policy, minus_ten, far))
        assert worth(text) == pytest.approx(-12)

    def test_the_opponents_answer_is_in_the_words(self) -> None:
        heard: list[Heard] = []
        env = make("tic_tac_toe(first=true)")
        _, operators, value, policy = bench(env, on_heard=heard.append)
        asyncio.run(Evaluation(samples=1).target(operators, policy, value.read, env.starts()[0][1]))
        assert "What happened:" in heard[0].prompt and "O" in heard[0].prompt.partition("What happened:")[2]

    def test_an_environment_that_raises_is_named_and_the_rest_goes_on(self) -> None:
        env, operators, value, policy = bench()
        known, real = env.states(), env.outcomes
        bad = known[0]
        env.states = lambda: known

        def outcomes(state, action):
            if state == bad:
                raise RuntimeError("the floor gave way")
            return real(state, action)

        env.outcomes = outcomes
        with pytest.raises(EnvironmentFailed, match=r"umaze.*floor gave way"):
            asyncio.run(Evaluation().target(operators, policy, value.read, bad))
        learn(operators, value, policy, iterations=2)
        assert operators.heard["environment failures"] == 4  # one sweep and one improvement, twice
        assert policy.written(bad) is None and len(policy.table) == len(env.states()) - 1

    def test_bad_settings(self) -> None:
        for bad in ({"steps": 0}, {"samples": 0}, {"steps": None}):
            with pytest.raises(UserError):
                Evaluation(**bad)
        with pytest.raises(UserError):
            ActingSettings(iterations=-1)
        for bad in ({"top": 0}, {"draws": 0}, {"top": 2}):
            with pytest.raises(UserError):
                Enumerate(**bad)
        with pytest.raises(UserError, match="fan_in"):
            Operators(make(UMAZE), Desk(OracleModel()), fan_in=1)


class TestImprovement:
    def test_a_decision_costs_what_the_formula_says(self) -> None:
        env = make("tic_tac_toe(first=true)")
        _, operators, _, policy = bench(env)
        improvement, asked = Enumerate(draws=6, top=3), []

        async def read(state) -> str:
            asked.append(state)
            return UNKNOWN

        state = env.starts()[0][1]
        actions = asyncio.run(improvement.candidates(operators, policy, state))
        before = operators.desk.calls.copy()
        asyncio.run(improvement.better(Evaluator(Evaluation(), operators, policy, once(read)), state))
        spent = operators.desk.calls - before
        expected = improvement.expected_calls(env, state, actions, operators.fan_in)
        assert expected.pop(Role.POLICY) == 6  # the uniform policy draws without calls
        assert expected.pop(Role.VALUE) == len(asked)
        assert dict(spent) == expected and len(actions) == 3

    def test_illegal_and_unreadable_draws_are_counted_and_never_replaced(self) -> None:
        env = make("tic_tac_toe(first=true)")
        state = env.outcomes(env.starts()[0][1], env.actions(env.starts()[0][1])[4])[0].state
        taken = next(a for a in env.actions(env.starts()[0][1]) if a not in env.actions(state))
        free = env.actions(state)[0]
        said = [f"Action: {taken}", "I resign.", f"Action: {free}", f"Action: {taken}"]
        env, operators, _, _ = bench(env, ScriptedModel(said))
        found = asyncio.run(Enumerate(draws=4).candidates(operators, PromptedPolicy(env, operators.desk), state))
        assert found == (free,)
        assert operators.heard == {"illegal decisions": 2, "unparsed decisions": 1}

    def test_what_was_decided_once_stays_open_to_doubt(self) -> None:
        """A table that answered all draws itself would never look at another action again."""
        model = ScriptedModel(lambda request, i: f"Action: move {('left', 'right', 'up', 'down')[i % 4]}")
        env, operators, value, _ = bench()
        policy = Table(env, PromptedPolicy(env, Desk(model)))
        learn(operators, value, policy, iterations=20, improvement=Enumerate(draws=4))
        chosen = {s: policy.written(s).action for s in env.states()}
        assert mean_return(env, chosen) == pytest.approx(mean_return(env, value_iteration(env).policy))

    def test_no_legal_action_leaves_the_policy_as_it_was(self) -> None:
        env, operators, value, _ = bench(model=ScriptedModel("I resign."))
        policy = Table(env, PromptedPolicy(env, operators.desk))
        result = learn(operators, value, policy, iterations=1, improvement=Enumerate(draws=2))
        assert policy.table == {} and result.iterations[0].changes == ()
        assert result.iterations[0].heard["unparsed decisions"] > 0

    def test_refine_asks_three_times_whatever_the_number_of_actions(self) -> None:
        def say(request, i: int) -> str:
            prompt = request.messages[-1].content
            if "You meant to do" in prompt:
                return "Action: move up"
            return "It ends badly. Worth: -9" if prompt.endswith("\nAction: move down") else "Action: move down"

        env, operators, _, _ = bench(model=ScriptedModel(say))
        successors = TrainedValue(env, operators.desk, Learner(), fitted=True)
        state, policy = env.states()[0], PromptedPolicy(env, operators.desk)
        evaluator = Evaluator(Evaluation(), operators, policy, successors.read)
        improved = asyncio.run(Refine(successors=successors).better(evaluator, state))
        assert improved.decision.action == "move up"
        assert improved.evaluations == (("move down", "It ends badly. Worth: -9"),)
        assert dict(operators.desk.calls) == {Role.POLICY: 1, Role.SUCCESSOR: 1, Role.REFINE: 1}

    def test_successor_texts_are_one_step_backups(self) -> None:
        env, operators, value, policy = bench()
        best = value_iteration(env)
        asyncio.run(policy.fit([(s, Decision(f"Action: {a}", a, True)) for s, a in best.policy.items()], seed=0))
        operators.desk.employ(Role.REFINE, ScriptedModel("I stay with it."))
        successors = Store(operators)
        learn(operators, value, policy, iterations=12, sweeps=0, improvement=Refine(successors=successors))
        for state, action in best.policy.items():
            text = successors.table[question(env, Taken(state, action))]
            assert worth(text) == pytest.approx(best.q[state, action])


class Learner:
    """Learns by heart."""

    def __init__(self, model=None) -> None:
        self.pairs: list[tuple[str, str]] = []
        self.model = model

    async def fit(self, pairs, *, seed: int) -> None:
        self.pairs = list(pairs)
        known = dict(pairs)
        self.model = ScriptedModel(lambda request, i: known[request.messages[-1].content], name=f"l{len(pairs)}")


class TestValues:
    def test_a_store_merges_what_was_said_several_times(self) -> None:
        env, _, value, _ = bench()
        a, b, *_ = env.states()
        asyncio.run(value.fit([(a, "Worth: 1"), (a, "Worth: 1"), (a, "Worth: 4"), (b, "Worth: 7")], seed=0))
        assert worth(asyncio.run(value.read(a))) == pytest.approx(2)
        assert asyncio.run(value.read(b)) == "Worth: 7"
        assert asyncio.run(value.read(env.states()[2])) == UNKNOWN

    def test_retrieval_shows_the_nearest_states(self) -> None:
        model = ScriptedModel("Worth: 0")
        env, operators, _, _ = bench(model=model)
        value = Retrieve(env, operators.desk, nearest=2)
        asyncio.run(value.read(env.states()[0]))
        assert "similar" not in model.requests[0].messages[-1].content
        asyncio.run(value.fit([(s, f"Place {i}. Worth: {i}") for i, s in enumerate(env.states())], seed=0))
        asyncio.run(value.read(env.states()[3]))
        prompt = model.requests[1].messages[-1].content
        assert prompt.count("Evaluation:") == 2
        # the state itself is the nearest, and stands last
        assert "Place 3." in prompt.rpartition("Evaluation:")[2]

    def test_a_trained_value_is_asked_without_the_rules(self) -> None:
        env, operators, _, _ = bench()
        learner = Learner()
        value = TrainedValue(env, operators.desk, learner)
        state = env.states()[0]
        assert asyncio.run(value.read(state)) == UNKNOWN
        asyncio.run(value.fit([(state, "Worth: 5"), (state, "Worth: 5")], seed=0))
        assert asyncio.run(value.read(state)) == "Worth: 5"
        assert len(learner.pairs) == 2


class TestRuns:
    def test_the_same_seed_gives_the_identical_transcript(self) -> None:
        def transcript() -> list[Heard]:
            heard: list[Heard] = []
            _, operators, value, policy = bench(make("tic_tac_toe(first=true)"), on_heard=heard.append)
            learn(operators, value, policy, iterations=1, episodes=4, evaluation=Evaluation(samples=2), seed=5)
            return sorted(heard, key=str)

        first = transcript()
        assert first and first == transcript()

    def test_interrupted_and_resumed_equals_straight(self, tmp_path: Path) -> None:
        _, operators, straight, policy = bench()
        whole = learn(operators, straight, policy, iterations=6)
        used, tables = operators.desk.ledger.usage(), (straight.table, policy.table)
        path = tmp_path / "bank.sqlite"
        with Bank(path) as bank:
            _, operators, value, policy = bench(bank=bank, budget=Budget(tokens=used.tokens // 2))
            cut = learn(operators, value, policy, iterations=6)
            first = operators.desk.ledger.paid
            assert cut.stopped == "tokens" and len(cut.iterations) < len(whole.iterations)
            assert operators.desk.ledger.usage().tokens <= used.tokens // 2
        with Bank(path) as bank:
            _, operators, value, policy = bench(bank=bank)
            learn(operators, value, policy, iterations=6)
            desk = operators.desk
        assert (value.table, policy.table) == tables
        assert desk.ledger.usage().total.tokens == used.tokens
        assert 0 < desk.ledger.paid.tokens < used.tokens - first.tokens // 2

    def test_states_that_were_met_are_enough(self) -> None:
        env, operators, value, policy = bench()
        result = learn(operators, value, policy, iterations=8, episodes=20, held_out=(1, 2, 3))
        assert result.iterations[-1].played.mean_return >= -4.0
        assert mean_return(env, uniform_policy(env)) < -40

    def test_a_quiet_start_is_not_convergence_where_states_are_met_by_chance(self) -> None:
        pytest.importorskip("gymnasium")
        env, operators, value, policy = bench(make("frozen_lake(slippery=false)"))
        result = learn(operators, value, policy, iterations=40, episodes=20, seed=3)
        assert result.stopped == "converged"
        assert play_once(env, policy).total == 1.0

    def test_a_budget_that_ends_in_an_episode_is_said_by_its_name(self) -> None:
        env, operators, _, _ = bench(model=ScriptedModel("Action: move up"), budget=Budget(tokens=50))
        with pytest.raises(BudgetExhausted):
            asyncio.run(play(env, PromptedPolicy(env, operators.desk), range(3)))


def play_once(env, policy):
    return asyncio.run(play(env, policy, [0])).episodes[0]


class TestWorth:
    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("Worth: 0.62", 0.62),
            ("Worth: \u22121", -1.0),
            ("**Worth:** \u2013 0.5", -0.5),
            ("Worth: -$0.5", -0.5),
            ("Worth: 1,000", 1000.0),
            ("Worth: 1e-3.", 0.001),
            ("It was worth 3; now Worth: +.5", 0.5),
            ("Worth: 1e999", None),
            ("Worthwhile, all in all.", None),
            ("", None),
        ],
    )
    def test_numbers_as_models_write_them(self, text: str, number: float | None) -> None:
        assert worth(text) == (None if number is None else pytest.approx(number))


class TestEpisodes:
    def test_a_model_is_asked_once_for_a_state(self) -> None:
        env, operators, _, _ = bench(model=ScriptedModel("Action: move up"))
        played = asyncio.run(play(env, PromptedPolicy(env, operators.desk), range(6)))
        seen = {move.observation for e in played.episodes for move in e.moves}
        assert operators.desk.calls[Role.POLICY] == len(seen)

    def test_an_environment_that_cannot_begin(self) -> None:
        class Broken(Maze):
            def reset(self, *, seed=None, state=None):
                raise OSError("no level file")

        played = asyncio.run(play(env := Broken(layout="umaze"), Uniform(env), range(2)))
        assert ["no level file" in e.failed for e in played.episodes] == [True, True]

    def test_illegal_actions_cost_what_the_environment_says(self) -> None:
        env, operators, _, _ = bench(model=ScriptedModel("Action: fly away"))
        env.max_steps = 3
        played = asyncio.run(play(env, PromptedPolicy(env, operators.desk), [1, 2]))
        assert [e.total for e in played.episodes] == [-12.0, -12.0]
        assert all(e.cut_off and len(e.moves) == 3 for e in played.episodes)
        assert played.heard["unparsed decisions"] == 6

    def test_an_environment_that_raises_ends_only_its_episode(self) -> None:
        class Broken(Maze):
            def step(self, action):
                if self.state == (1, 1):
                    raise OSError("disk full")
                return super().step(action)

        played = asyncio.run(play(env := Broken(layout="umaze"), Uniform(env), range(8)))
        broken = [e for e in played.episodes if e.failed]
        assert 0 < len(broken) < 8 and all("disk full" in e.failed for e in broken)
        assert played.heard["environment failures"] == len(broken)

    def test_uniform_play_is_as_good_as_the_exact_figure(self) -> None:
        env = make(UMAZE)
        played = asyncio.run(play(env, Uniform(env), range(200)))
        assert played.mean_return == pytest.approx(mean_return(env, uniform_policy(env)), abs=8)

    def test_seeds_repeat(self) -> None:
        env = make("tic_tac_toe(first=both)")
        first = asyncio.run(play(env, Uniform(env, 1), range(20)))
        again = asyncio.run(play(env, Uniform(env, 1), range(20)))
        assert first.episodes == again.episodes
        assert 0 < first.success_rate < 1
