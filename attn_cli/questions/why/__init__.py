"""Experiments on why attention matters, on the built-in models (`attn why`)."""
