"""A saved record, shown again."""
