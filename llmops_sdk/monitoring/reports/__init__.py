"""Report on a period of the stored traces: one HTML file without scripts, Markdown or JSON."""
