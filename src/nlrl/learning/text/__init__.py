"""A small transformer over words, trained and served in this process."""
