"""Redisplay of a saved record."""
