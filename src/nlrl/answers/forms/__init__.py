"""The forms an answer takes: text is read into numbers with units, expressions, sets, regions, matrices or words.

    read("2.5 km")  ->  a Scalar of 2500 metres
    same(read("2.5 km"), read("2500 meters"))  ->  True

`read` and `same` are pure, exact where exactness is possible, and bounded: no power is ever evaluated beyond a few
thousand digits, no input is scanned more than a few times. What they cannot decide they say so (None), and
`nlrl.answers.equivalence` asks a symbolic engine in another process.
"""

from nlrl.answers.forms.compare import same
from nlrl.answers.forms.read import read
from nlrl.answers.forms.shapes import Form

__all__ = ["Form", "read", "same"]
