"""What everything else speaks of: texts, selections, blocks of attention, records. Plain, frozen, NumPy only."""
