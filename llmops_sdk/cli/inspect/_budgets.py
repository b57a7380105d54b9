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
    from llmops_sdk.resilience.budgets._policy import Policy
    from llmops_sdk.resilience.budgets._spent import KeySpending, read_spending
    from llmops_sdk.resilience.budgets._windows import window_at

    budgets, now = current().budgets, time.time()
    if not budgets:
        print("there are no budgets: add a table [[budgets]] to llmops.toml", file=sys.stderr)
    found = read_spending(budgets, now, existing_store(store), most=_KEYS)
    rows: list[tuple[object, ...]] = []
    for settings in budgets:
        policy = Policy(settings)
        own = [one for one in found if one.policy.settings == settings]
        if not own and settings.per == "all":
            own = [KeySpending(policy, window_at(settings, now), "", 0.0)]
        for one in own:
            end = one.window.resets_at
            rows.append(
                (
                    settings.name,
                    settings.per,
                    one.key,
                    str(settings.window),
                    settings.mode,
                    policy.unit,
                    policy.limit,
                    one.spent,
                    max(policy.limit - one.spent, 0.0),
                    None if end is None else datetime.fromtimestamp(end, UTC).replace(tzinfo=None),
                )
            )
    show(form, _COLUMNS, rows, limit)
