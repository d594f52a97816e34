"""What each head is for."""
