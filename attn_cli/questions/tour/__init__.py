"""The lesson on attention, walked through in eight chapters."""
