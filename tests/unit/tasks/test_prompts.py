import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlrl.core import ANSWER_PHRASE, CodeTests, Problem, TaskType, UserError
from nlrl.tasks import get_dynamic_prompt, messages_for
from nlrl.tasks.prompts import constraint_in_words
from nlrl.tasks.worked_examples import nearest_examples


@given(st.text(max_size=200), st.sampled_from(list(TaskType)))
def test_law_the_question_stands_in_the_prompt_as_it_is(question, kind):
    messages = messages_for(Problem(question, task_type=kind))
    assert question in messages[-1].content
    assert messages[-1].role == "user"
    assert [m.role for m in messages[1:]] == ["user", "assistant"] * ((len(messages) - 2) // 2) + ["user"]


def test_braces_and_percent_signs_do_no_harm():
    for question in ("What is {x}?", "{0} %s %(a)d {{}}", "\\frac{1}{2} {"):
        assert question in str(get_dynamic_prompt("math", question))


def test_difficulty_and_steps_change_what_is_asked():
    prompts = [get_dynamic_prompt("math", "1 + 1?", d, s) for d in ("easy", "medium", "hard") for s in (None, 3)]
    assert len(set(prompts)) == 6
    assert "Difficulty: easy, Steps: 3" in str(prompts[1]) and "Difficulty: hard, Steps: 3" in str(prompts[5])
    chats = [messages_for(Problem("1 + 1?", task_type=TaskType.MATH), difficulty=d, steps=3) for d in ("easy", "hard")]
    assert all("exactly 3 numbered steps" in chat[0].content for chat in chats) and "plan" in chats[1][0].content
    assert (
        get_dynamic_prompt("math", "q", 5)
        == get_dynamic_prompt("math", "q", "hard")
        == get_dynamic_prompt("math", "q", 0.9)
    )


@pytest.mark.parametrize("bad", ["impossible", 0.5 + 1, 6, -1, True, float("nan")])
def test_a_difficulty_that_makes_no_sense_is_refused(bad):
    with pytest.raises(UserError, match="difficulty"):
        get_dynamic_prompt("math", "q", bad)


def test_other_bad_input_is_refused():
    with pytest.raises(UserError, match="Use one of"):
        get_dynamic_prompt("maths", "q")
    with pytest.raises(UserError, match="steps"):
        get_dynamic_prompt("math", "q", steps=0)


def test_the_contract_is_stated_and_shown():
    for kind in ("math", "commonsense"):
        messages = get_dynamic_prompt(kind, "Why?", as_messages=True)
        assert ANSWER_PHRASE in messages[0].content
        assert all(ANSWER_PHRASE in m.content for m in messages if m.role == "assistant")
        assert sum(m.role == "assistant" for m in messages) == 2


def test_choices_tests_and_constraints_are_shown():
    text = messages_for(Problem("Where?", choices=("at home", "nowhere"), task_type=TaskType.COMMONSENSE))[-1].content
    assert "- at home\n- nowhere" in text
    code = Problem(
        "Write f.",
        task_type=TaskType.CODING,
        tests=CodeTests(("assert f(1) == 2", "assert f(7) == 8"), ("assert f(1) == 2",)),
    )
    text = messages_for(code)[-1].content
    assert "assert f(1) == 2" in text
    assert "assert f(7)" not in text  # hidden tests stay hidden
    writing = Problem(
        "Write.", task_type=TaskType.WRITING, constraints=({"kind": "word_count", "op": "<=", "value": 9},)
    )
    assert "- at most 9 words" in messages_for(writing)[-1].content


def test_every_builtin_constraint_has_words():
    from nlrl.tasks import load_problems

    for problem in load_problems("builtin:writing"):
        for constraint in problem.constraints:
            assert not constraint_in_words(constraint).startswith("{")


def test_examples_are_chosen_by_likeness_and_never_the_question_itself():
    example = nearest_examples(TaskType.MATH, "A shirt of 50 dollars is reduced by 10 percent. New price?", 1)[0]
    assert "reduced" in example.question
    again = nearest_examples(TaskType.MATH, example.question, 11)
    assert example not in again
    assert nearest_examples(TaskType.WRITING, "x", 2) == ()


def test_constraints_are_asked_for_whole():
    narrowed = {"kind": "word_count", "op": "<=", "value": 5, "sentence": 2, "paragraph": 1}
    assert constraint_in_words(narrowed) == "in sentence 2 of paragraph 1: at most 5 words"
    assert "at least 3 times" in constraint_in_words({"kind": "include_words", "words": ["a"], "count": 3})
    assert "not counted" in constraint_in_words({"kind": "character_count", "value": 9, "spaces": False})
    assert "every sentence" in constraint_in_words({"kind": "every_sentence_starts_with", "value": "I"})
    last = {"kind": "paragraph_last_sentences", "values": ["All was well."], "words": None}
    assert "All was well." in constraint_in_words(last)
