"""The erasure of a person's words, from the records of a server and from everything that was made of them."""

from nlrl.server.erasure.erase import Report, erase
from nlrl.server.erasure.words import Who

__all__ = ["Report", "Who", "erase"]
