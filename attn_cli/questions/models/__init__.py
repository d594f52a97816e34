"""List of the models on this machine."""
