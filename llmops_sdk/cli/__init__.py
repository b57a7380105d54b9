"""The command line: `llmops`, also `python -m llmops_sdk`."""

from __future__ import annotations

__all__ = ["main"]


def main() -> int:
    """Run the command line with `sys.argv`.

    Returns:
        The exit status: 0 for success, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.
    """
    from llmops_sdk.cli._app import run

    return run()
