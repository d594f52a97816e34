"""One folder for each question that attn answers: `command`, `measure` and `draw`."""
