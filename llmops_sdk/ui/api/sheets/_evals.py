"""Experiments, and the comparison of two."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from llmops_sdk._util._usage import UsageError
from llmops_sdk.evals import Experiment
from llmops_sdk.ui._answers import Answer
from llmops_sdk.ui._asked import Asked
from llmops_sdk.ui._sheets import Sheet, Table, columns

__all__ = ["EVALS", "compare_experiments"]

_MOST_ITEMS = 100_000

EVALS = Sheet(
    over="records",
    period=None,
    command="eval list",
    tables=(
        Table(
            "Experiments",
            columns(
                "name, Name", "id, Id", "time, Started, time", "status, Status, status", "reason, Why",
                "dataset, Data set", "items, Items, count", "repeats, Repeats, count", "cost, Cost, usd",
            ),
            """WITH paid AS (
    SELECT experiment_id, cost FROM experiment_items WHERE NOT reused
    UNION ALL SELECT experiment_id, cost FROM experiment_scores WHERE NOT reused
), costs AS (SELECT experiment_id, sum(cost) AS cost FROM paid GROUP BY ALL)
SELECT name, experiment_id AS id, start_time AS time, status, reason,
    dataset_name || coalesce('@' || left(dataset_version, 12), '') AS dataset, items, repeats, cost
FROM experiments LEFT JOIN costs USING (experiment_id) WHERE {where} ORDER BY start_ns DESC""",
            "No experiment ran. Use llmops_sdk.evals.evaluate, or llmops eval run.",
        ),
        Table(
            "Scores",
            columns(
                "name, Name", "id, Id", "scorer, Scorer", "mean, Mean, number", "values, Values, count",
                "failed, Failed, count", "passed, Passed, share", "trace_id, Lowest, trace",
            ),
            """SELECT e.name, e.experiment_id AS id, s.scorer, avg(s.value) AS mean, count(s.value) AS values,
    count_if(s.status IN ('error', 'timeout')) AS failed, avg(s.passed::INT) AS passed,
    arg_min(s.trace_id, s.value) AS trace_id
FROM experiment_scores s JOIN (SELECT * FROM experiments WHERE {where}) e USING (experiment_id)
GROUP BY e.name, e.experiment_id, e.start_ns, s.scorer ORDER BY e.start_ns DESC, s.scorer""",
            "No scores.",
        ),
    ),
)  # fmt: skip
"""Stored experiments."""


def compare_experiments(asked: Asked) -> Answer:
    """Return what changed from one experiment to another, on the items that both have.

    Raises:
        ConfigError: They have no scorer in common.
        LLMOpsError: There is no such experiment.
        UsageError: `a` or `b` is missing.
    """
    a, b = asked.text("a"), asked.text("b")
    if a is None or b is None:
        raise UsageError("give a and b: names or ids of experiments")
    before, after = (Experiment.load(one, path=asked.folder) for one in (a, b))
    found = before.compare(after)
    labels = columns(
        "scorer, Scorer", "n, Items, count", "mean_a, Before, number", "mean_b, After, number",
        "difference, Difference, number", "low, from, number", "high, to, number", "p_adjusted, p, number",
        "verdict, Verdict, status", "mde, Smallest visible, number",
    )  # fmt: skip
    rows: list[Sequence[Any]] = []
    for row in found.rows:
        low, high = row.interval if row.interval is not None else (None, None)
        means = (row.mean_a, row.mean_b, row.difference, low, high)
        rows.append([row.scorer, row.n, *means, row.p_adjusted, row.verdict, row.mde])
    table = {
        "title": f"{found.a} → {found.b}",
        "columns": [{"name": one.name, "label": one.label, "kind": one.kind} for one in labels],
        "rows": rows,
        "empty": "They have no item with a score in both.",
    }
    notes = [*found.warnings, f"only in the first: {len(found.only_in_a)}; only in the second: {len(found.only_in_b)}"]
    command = shlex.join(["llmops", "eval", "compare", a, b])
    return Answer({"facts": [], "charts": [], "tables": [table]}, command=command, notes=notes)
