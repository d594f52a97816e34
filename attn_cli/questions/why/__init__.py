"""Why attention matters, measured on the built-in models."""
