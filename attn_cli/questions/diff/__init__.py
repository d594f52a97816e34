"""What changed between two texts, models or records."""
