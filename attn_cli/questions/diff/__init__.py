"""Changes between two texts, models or records (`attn diff`)."""
