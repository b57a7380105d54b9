"""The program that compacts a store beside an application: `python -m llmops_sdk.store._compact_process FOLDER`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store._compact import compact_store

__all__ = ["main"]

_NICE = 10


def main() -> int:
    """Compact the store that is named; the exit status."""
    # Not ended with the application's own processes by a Ctrl-C in its terminal.
    with suppress(OSError):
        os.setsid()
    os.nice(_NICE)
    try:
        compact_store(Path(sys.argv[1]))
    except StoreError:
        return 1  # nobody reads its output; `llmops doctor` tells what waits, and `llmops compact` why
    return 0


if __name__ == "__main__":
    sys.exit(main())
