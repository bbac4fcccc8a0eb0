"""Reading the answer out of a text: cut, find, take.

    cut.py         what is no longer the answer: a made-up next question, the marks of a chat template
    statements.py  where the text states its answer: the table of markers, strongest first; blocks.py: how far it goes
    sentences.py   the last sentence with a value, where nothing is marked
    values.py      the value in a statement: which stretch of it; whole.py: with its unit and what is joined to it
    options.py     the option that a text chooses
    texts.py       answers in words, yes and no

Below them, heads.py takes a line apart into prose and values, pieces.py finds formulas, boxes and brackets,
one_value.py knows one value in several forms, and vocabulary.py has the words of all languages.
"""
