"""The error of a wrong command line that typer itself cannot detect."""

from __future__ import annotations

__all__ = ["UsageError"]


class UsageError(ValueError):
    """The command line is wrong: exit status 2."""
