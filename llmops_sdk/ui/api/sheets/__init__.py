"""Pages of figures, charts and tables."""
