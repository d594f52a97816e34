"""What the words of the field mean."""
