"""Data sets with content-addressed versions, from rows, files and stored traces."""
