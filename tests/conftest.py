"""Settings of all tests."""

from hypothesis import settings

# speed belongs in benchmarks: a property must not fail because the machine was busy
settings.register_profile("nlrl", deadline=None)
settings.load_profile("nlrl")
