"""Print the features of reports of streams and canaries."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmops_sdk.cli.output._formats import Format, write_rows

if TYPE_CHECKING:
    from llmops_sdk.drift import DriftReport

__all__ = ["write_features"]

_COLUMNS = (
    "name", "signal", "status", "cause", "effect", "low", "high", "p_value", "reference_n", "current_n", "reason",
)  # fmt: skip


def write_features(form: Format, reports: Sequence[DriftReport]) -> None:
    """Print one row for each feature, and on stderr what we changed ourselves.

    Args:
        form: The output format.
        reports: The reports.
    """
    rows: list[tuple[Any, ...]] = []
    for report in reports:
        for one in report.features:
            low, high = (None, None) if one.interval is None else one.interval
            rows.append((
                report.name, one.signal, one.status, one.cause, one.effect, low, high, one.p_value, one.reference_n,
                one.current_n, one.reason,
            ))  # fmt: skip
    write_rows(form, _COLUMNS, rows, sys.stdout)
    for report in reports:
        for change in report.changes:
            print(f"{report.name}: {change}", file=sys.stderr)
