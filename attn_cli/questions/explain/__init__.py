"""The three steps of one query: scores, weights, weighted sum."""
