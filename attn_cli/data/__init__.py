"""Data types of the whole package: texts, selections, blocks of attention, records. Plain, frozen, NumPy only."""
