"""Search for the heads that link two words."""
