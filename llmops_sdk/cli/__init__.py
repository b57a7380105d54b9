"""The command `llmops`, also `python -m llmops_sdk`."""

from __future__ import annotations

__all__ = ["main"]


def main() -> int:
    """Run the command line with `sys.argv`.

    Returns:
        0 when it did what was asked, 1 when it failed, 2 for a wrong usage, 130 after Ctrl-C.
    """
    from llmops_sdk.cli._app import run

    return run()
