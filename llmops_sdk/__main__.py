"""`python -m llmops_sdk` is the command `llmops`."""

from __future__ import annotations

import sys

from llmops_sdk.cli import main

if __name__ == "__main__":
    sys.exit(main())
