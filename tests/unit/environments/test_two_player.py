"""Tic-tac-toe and Breakthrough: rules, the opponent's ply, and whose side a state is seen from."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlrl.environments import make
from nlrl.environments.breakthrough import Pawns
from nlrl.environments.two_player import make_opponent


def test_the_reply_is_part_of_the_outcome():
    env = make("tic_tac_toe(opponent=random)")
    outcomes = env.outcomes(("X", "XX.OO...."), "take 9")
    assert {(o.event, o.reward, o.terminal) for o in outcomes} == {
        ("O answers 3.", 0.0, False),
        ("O answers 6: O wins.", 0.0, True),
        ("O answers 7.", 0.0, False),
        ("O answers 8.", 0.0, False),
    }
    assert all(o.probability == pytest.approx(1 / 4) for o in outcomes)
    (won,) = env.outcomes(("X", "XX.OO...."), "take 3")
    assert (won.event, won.reward, won.probability) == ("X plays 3: X wins.", 1.0, 1.0)
    assert env.success(won)
    (drawn,) = env.outcomes(("X", "XOXXOOOX."), "take 9")
    assert (drawn.event, drawn.reward, env.success(drawn)) == ("X plays 9: a draw.", 0.0, False)


def test_whose_side():
    env = make("tic_tac_toe(first=false)")
    assert {side for _, (side, _) in env.starts()} == {"O"}
    assert len(env.starts()) == 9
    assert env.describe(("O", "X........")) == "You are O; your turn.\nX 2 3\n4 5 6\n7 8 9"
    assert env.describe(("O", "XXXOO....")) == "You are O; X has won.\nX X X\nO O 6\n7 8 9"
    both = make("tic_tac_toe(first=both)")
    assert [p for p, _ in both.starts()] == [0.5] + [pytest.approx(1 / 18)] * 9
    assert "your point of view" in env.rules
    assert make("breakthrough(first=true)").describe(("W", Pawns.start)).startswith("You are W and move up; your turn.")


def test_opponents():
    rules = make("tic_tac_toe").game
    board = "XX.OO...."
    assert make_opponent(rules, "first_free", depth=1, simulations=1)(board, "O") == {"3": 1.0}
    assert make_opponent(rules, "minimax", depth=9, simulations=1)(board, "O") == {"6": 1.0}
    assert make_opponent(rules, "minimax", depth=9, simulations=1)("X...O...X", "O").keys() == {"2", "4", "6", "8"}
    mcts = make_opponent(rules, "mcts", depth=1, simulations=300)
    assert mcts(board, "O") == {"6": 1.0}
    assert mcts("XX..O....", "O") == {"3": 1.0}, "it blocks"
    again = make_opponent(rules, "mcts", depth=1, simulations=300)
    assert again("X........", "O") == mcts("X........", "O"), "the same board, the same reply"


def legal_by_hand(board: str, side: str) -> set[str]:
    """A second reading of the rules: every pair of cells, judged by where they lie."""
    cells = [f"{file}{rank}" for rank in "54321" for file in "abcde"]
    found = set()
    for a, here in zip(cells, board, strict=True):
        for b, there in zip(cells, board, strict=True):
            ahead = (int(b[1]) - int(a[1])) * (1 if side == "W" else -1)
            sideways = abs(ord(b[0]) - ord(a[0]))
            if here == side and ahead == 1 and (there == "." if sideways == 0 else sideways == 1 and there != side):
                found.add(f"{a}-{b}")
    return found


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_breakthrough_follows_its_rules(seed):
    rules, rng, side = Pawns(), random.Random(seed), "W"
    board = rules.start
    for _ in range(60):
        moves = rules.moves(board, side)
        assert len(set(moves)) == len(moves)
        assert set(moves) == legal_by_hand(board, side)
        assert moves, "whoever is to move can move"
        move, before = rng.choice(moves), board
        board = rules.play(board, side, move)
        taken = "BW"["WB".index(side)]
        assert board.count(side) == before.count(side)
        assert before.count(taken) - board.count(taken) in ((0,) if move[0] == move[3] else (0, 1))
        assert -1 < rules.promise(board, "W") == -rules.promise(board, "B") < 1
        if rules.result(board):
            break
        side = taken
    assert rules.result(board) == side, "every game ends, and with the last mover's win"
    assert rules.moves(board, "W") == rules.moves(board, "B") == ()


def test_breakthrough_marks():
    rules = Pawns()
    assert rules.start.count("W") == rules.start.count("B") == 10
    assert len(rules.moves(rules.start, "W")) == len(rules.moves(rules.start, "B")) == 13
    facing = ".......B....W.......B...."
    assert rules.result(facing) == "B"
    facing = ".......B....W............"
    assert set(rules.moves(facing, "W")) == {"c3-b4", "c3-d4"}, "straight ahead is blocked and cannot be captured"
    diagonal = "......B.....W............"
    assert rules.result(rules.play(diagonal, "W", "c3-b4")) == "W", "the last pawn is captured"


def test_breakthrough_opponents_see_a_win():
    rules = Pawns()
    board = "..........W.......B.....W"
    for name in ("minimax", "mcts"):
        replies = make_opponent(rules, name, depth=2, simulations=200)(board, "B")
        assert all(rules.result(rules.play(board, "B", reply)) == "B" for reply in replies), name
    env = make("breakthrough(opponent=minimax, first=true, loss=-1)")
    lost = env.outcomes(("W", board), "a3-a4")
    assert all((o.reward, o.terminal) == (-1.0, True) for o in lost)
    assert "B wins" in lost[0].event
    assert env.parse("I capture: B2xC3") == env.parse("b2 to c3") == env.parse("b2c3") == "b2-c3"
