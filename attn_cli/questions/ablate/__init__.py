"""Cuts in a model's attention, and what becomes of its output."""
