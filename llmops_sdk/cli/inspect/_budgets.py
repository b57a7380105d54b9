"""`llmops stats --budgets`."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from llmops_sdk.cli.output._formats import Format
from llmops_sdk.cli.output._reading import existing_store, show

__all__ = ["show_budgets"]

_KEYS = 20
"""Keys of one budget that are shown, those with the largest sums first."""
_COLUMNS = ["budget", "per", "key", "window", "mode", "unit", "limit", "spent", "left", "resets_at"]


def show_budgets(*, form: Format, limit: int, store: Path | None) -> None:
    """Show what each budget of the settings has spent in its open window, as the store has it.

    Args:
        form: The output format.
        limit: The most rows; 0 for all.
        store: The store's folder, or None for the configured one.
    """
    from llmops_sdk.config import current
    from llmops_sdk.resilience.budgets._spent import read_spending

    budgets = current().budgets
    if not budgets:
        print("there are no budgets: add a table [[budgets]] to llmops.toml", file=sys.stderr)
    rows: list[tuple[object, ...]] = []
    for one in read_spending(budgets, time.time(), existing_store(store), most=_KEYS):
        settings, unit, most = one.policy.settings, one.policy.unit, one.policy.limit
        end = one.window.resets_at
        until = None if end is None else datetime.fromtimestamp(end, UTC).replace(tzinfo=None)
        left = max(most - one.spent, 0.0)
        owner = (settings.name, settings.per, one.key, str(settings.window), settings.mode)
        rows.append((*owner, unit, most, one.spent, left, until))
    show(form, _COLUMNS, rows, limit)
