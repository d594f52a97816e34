"""A translation, and which words it was made from."""
