"""Pages that can be played with: one HTML file each, with its script and its style in it."""
