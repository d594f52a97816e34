"""Translation of a text, with the source words that each target word attends to."""
