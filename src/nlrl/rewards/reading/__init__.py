"""Reading the answer out of a text: cut, find, take.

    cut.py         what is no longer the answer: a made-up next question, the marks of a chat template
    statements.py  where the text states its answer: the table of markers, strongest first
    sentences.py   the last sentence with a value, where nothing is marked
    values.py      the value in a statement, without the words before it and the reasons behind it
    options.py     the option that a text chooses

`vocabulary.py` has the words of all languages, `pieces.py` what in a text is one piece: formulas, boxes, brackets.
"""
