"""Interfaces to the system: memory, interrupts, encodings, and the process's own streams."""
