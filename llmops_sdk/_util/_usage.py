"""The error of a wrong option, which typer itself or a web server cannot detect."""

from __future__ import annotations

__all__ = ["UsageError"]


class UsageError(ValueError):
    """An option of a command or of the local page is wrong: exit status 2, or HTTP 400."""
