"""Where each head looks in one text."""
