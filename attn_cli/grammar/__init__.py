"""The grammar of sentences that the built-in models learn from."""
