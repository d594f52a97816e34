"""Attention taken from a model of transformers while it runs."""
