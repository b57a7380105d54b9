"""Print rows as tables, JSON, CSV or Markdown, safely, on a terminal or in a pipe."""
