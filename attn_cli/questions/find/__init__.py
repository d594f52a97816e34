"""Which heads link two words."""
