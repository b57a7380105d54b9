"""`llmops eval list`."""

from __future__ import annotations

from typing import Annotated

import typer

from llmops_sdk.cli._options import Form, Limit, Store
from llmops_sdk.cli.output._formats import Format
from llmops_sdk.cli.output._reading import query, show

__all__ = ["list_"]

_SQL = """
WITH paid AS (
    SELECT experiment_id, cost FROM experiment_items WHERE NOT reused
    UNION ALL SELECT experiment_id, cost FROM experiment_scores WHERE NOT reused
), costs AS (SELECT experiment_id, sum(cost) AS cost FROM paid GROUP BY ALL)
SELECT name, experiment_id AS id, start_time, status, reason, dataset_name AS dataset,
    left(dataset_version, 12) AS version, items, repeats, cost
FROM experiments LEFT JOIN costs USING (experiment_id)
WHERE $name IS NULL OR name = $name
ORDER BY start_ns DESC
"""


def list_(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this series. Default: all.")] = None,
    limit: Limit = 20,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """List stored experiments, the latest first."""
    found = query(_SQL, {"name": name}, store=store)
    show(form, found.columns, found.rows(), limit)
