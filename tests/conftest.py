"""Settings of all tests."""

import signal

from hypothesis import settings

# speed belongs in benchmarks: a property must not fail because the machine was busy
settings.register_profile("nlrl", deadline=None, max_examples=40)
settings.load_profile("nlrl")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that; a handler of ours they do not inherit,
# so the processes that tests start react to it as in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
