"""Compact a store in a process of its own: `-m llmops_sdk.store.maintenance._compact_process FOLDER THINNING`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._thinning import ThinningPolicy

__all__ = ["main"]

_NICE = 10


def main() -> int:
    """Compact the store that is named; the exit status."""
    # Not ended with the application's own processes by a Ctrl-C in its terminal.
    with suppress(OSError):
        os.setsid()
    os.nice(_NICE)
    try:
        compact_store(Path(sys.argv[1]), thinning=ThinningPolicy.decode(sys.argv[2]) if len(sys.argv) > 2 else None)
    except StoreError:
        return 1  # nobody reads its output; `llmops doctor` tells what waits, and `llmops compact` why
    return 0


if __name__ == "__main__":
    sys.exit(main())
