"""Continuation of a prompt, with the words that the model looks at as it writes each word (`attn generate`)."""
