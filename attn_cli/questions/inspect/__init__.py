"""Inspection of one text: the attention of each head."""
