"""Sentences that the built-in models learn from: rules in code, words in data files."""
