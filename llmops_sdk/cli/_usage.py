"""The error of a wrong command line that typer itself cannot detect."""

from __future__ import annotations

from llmops_sdk._util._usage import UsageError

__all__ = ["UsageError"]
