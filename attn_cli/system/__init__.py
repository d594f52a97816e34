"""What attn asks of the machine: memory, interrupts, encodings, the process's own streams."""
