"""Terminal drawing: screens, labels, colors, tables and heatmaps. Independent of every question."""
