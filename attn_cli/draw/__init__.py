"""How things look in a terminal: screens, labels, colors, tables, heatmaps. Knows no question."""
