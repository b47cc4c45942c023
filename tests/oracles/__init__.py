"""Helpers that compare keisei with independent programs, and the text transforms they share.

Nothing here knows how keisei works: positions come from other programs or from plain text, so that
a fault of the rules cannot hide in the test's own generator.
"""
