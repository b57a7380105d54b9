"""`llmops reprice`."""

from __future__ import annotations

import sys

from llmops_sdk.cli._filters import parse_period
from llmops_sdk.cli._options import DryRun, Since, Store
from llmops_sdk.cli.output._progress import progress_bar
from llmops_sdk.cli.output._reading import existing_store

__all__ = ["reprice"]


def reprice(since: Since = None, dry_run: DryRun = False, store: Store = None) -> bool:
    """Compute the costs of stored calls again, by the prices in force."""
    start, _ = parse_period(since, None)
    folder = existing_store(store)
    from llmops_sdk.store import reprice as reprice_store

    with progress_bar("repriced", "files") as progress:
        done = reprice_store(since=start, dry_run=dry_run, path=folder, progress=progress)
    verb = "would change" if dry_run else "changed"
    print(f"the costs of {done.calls:,} calls {verb}: ${done.before:,.6f} -> ${done.after:,.6f}", file=sys.stderr)
    if done.left and not dry_run:
        print(
            f"llmops: {done.left:,} calls are in files that a running process writes; run this again when it ends",
            file=sys.stderr,
        )
    return dry_run or not done.left
