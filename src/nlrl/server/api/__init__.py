"""The OpenAI API: what a request asks for, how it is solved, and how the answer is written."""
