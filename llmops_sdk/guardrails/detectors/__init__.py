"""The guards that find something in a text, one family a module."""
