"""A full-screen explorer: all heads, one map, one row and the text, which keys walk about in."""
