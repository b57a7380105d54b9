"""What a user can get wrong on the command line, besides what typer checks itself."""

from __future__ import annotations

__all__ = ["UsageError"]


class UsageError(ValueError):
    """The command line is wrong: exit status 2."""
