"""The SDK's own statements: they name each column that they read, and get their rows as tuples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.reading.jobs._job import QueryJob, run_job

if TYPE_CHECKING:
    from llmops_sdk.store.reading._statement import Parameters
    from llmops_sdk.store.schema._views import View

__all__ = ["OwnRows", "own_rows"]

_READ = re.compile(r"\b(?:from|join)\s+(\w+)", re.IGNORECASE)
_ALL = re.compile(r"\*\s*(?:exclude\s*\([^)]*\)\s*)?from\s+\w", re.IGNORECASE)
_NOT_RECORDS = re.compile(r"\bstore\.(?:unreadable|datasets|dataset_items)\b")


class OwnRows(NamedTuple):
    """The rows of a statement."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """Return every row as a dict by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def own_rows(
    sql: str,
    params: Parameters | None,
    folder: Path,
    timeout: float | None = None,
    *,
    if_no_scores: str | None = None,
    expand: bool = True,
    checked: bool = False,
) -> OwnRows:
    """Run a SELECT of the SDK itself.

    In place of all columns of the store's tables DuckDB sees those that the statement names: that takes less than half
    the time of a small query. So it names what it reads. A star stands for all columns only where the name of the view
    follows, and elsewhere for columns that are named as well.

    Args:
        sql: The statement, over views or over tables of `store`.
        params: Its values.
        folder: The store's folder.
        timeout: Seconds, or None.
        if_no_scores: What to run instead when the store has no scores: to join none still costs.
        expand: Whether to put in the views that the statement names; False for one that reads tables of `store` only.
        checked: Whether to check it first as a query of the user, of whom a part of it is.

    Raises:
        QueryError: The SQL is invalid, not allowed, or took too long.
        StoreError: The store cannot be read.
    """
    return run_job(_OwnJob(sql, params, folder, timeout, if_no_scores=if_no_scores, expand=expand, checked=checked))


class _OwnJob(QueryJob[OwnRows]):
    """One query whose rows are fetched at once."""

    def __init__(
        self,
        sql: str,
        params: Parameters | None,
        folder: Path,
        timeout: float | None,
        *,
        if_no_scores: str | None,
        expand: bool,
        checked: bool,
    ) -> None:
        super().__init__(sql, folder, timeout)
        self._params = params
        self._if_no_scores = if_no_scores
        self._expand = expand
        self._is_checked = checked

    def _check(self) -> None:
        if self._is_checked:
            from llmops_sdk.store.reading._statement import check_statement

            check_statement(self.sql, self._params)

    def _read(self, sources: Sources) -> OwnRows:
        from llmops_sdk.store.reading._warm import WarmConnection

        views = _views_in(self.sql) if self._expand else []
        is_wide = any(_NOT_RECORDS.search(view.sql) for view in views)
        warm = WarmConnection.acquire(sources, views if is_wide else ())
        with self._using(warm.connection):
            sql = self.sql
            if self._if_no_scores is not None and not warm.tables.has("scores"):
                sql = self._if_no_scores
            if not is_wide:
                sql = warm.tables.put_in(_with_views(sql, views))
            cursor = warm.connection.execute(sql, self._params)
            columns = tuple(str(one[0]) for one in cursor.description or ())
            rows = cursor.fetchall()
        warm.release()
        return OwnRows(columns, rows)


def _views_in(sql: str) -> list[View]:
    from llmops_sdk.store.schema._user_columns import current_views

    names = set(_READ.findall(sql))
    return [view for view in current_views() if view.name in names]


def _with_views(sql: str, views: Sequence[View]) -> str:
    if not views:
        return sql
    words = set(re.findall(r"\w+", sql))
    read = {view.name: view.sql if _ALL.search(sql) else view.narrow_sql(words) for view in views}
    # On its own lines: it may end with a comment.
    return f"WITH {', '.join(f'{name} AS NOT MATERIALIZED ({one})' for name, one in read.items())}\nFROM (\n{sql}\n)"
