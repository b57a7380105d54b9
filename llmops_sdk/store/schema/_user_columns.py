"""The user's own columns, `[store.columns]`: attributes and metadata that the views show as columns."""
# ruff: noqa: S608 - names and attributes are checked and quoted

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from llmops_sdk.errors import ConfigError
from llmops_sdk.store.schema._span_columns import SPAN_COLUMNS
from llmops_sdk.store.schema._span_views import traces_sql
from llmops_sdk.store.schema._views import VIEWS, Column, View
from llmops_sdk.tracing.records import _semconv as sc

if TYPE_CHECKING:
    from llmops_sdk.config import ColumnSettings

__all__ = ["column_sql", "current_views"]

_EXTENDED = ("spans", "llm_calls", "traces")


def column_sql(attribute: str, value_type: str) -> str:
    """Return the SQL expression of an attribute, or of the metadata with that key.

    Args:
        attribute: The attribute's name.
        value_type: DuckDB's type. A value that does not fit is NULL.

    Example:
        >>> column_sql("app.n", "BIGINT")
        "TRY_CAST(list_filter(json_extract_string(attributes, ['/app.n', '/llmops.metadata.app.n']), \
lambda found: found IS NOT NULL)[1] AS BIGINT)"
    """
    paths = ", ".join(f"'{_pointer(name)}'" for name in (attribute, sc.METADATA_PREFIX + attribute))
    extract = "json_extract" if value_type == "JSON" else "json_extract_string"
    found = f"list_filter({extract}(attributes, [{paths}]), lambda found: found IS NOT NULL)[1]"
    return found if value_type in {"JSON", "VARCHAR"} else f"TRY_CAST({found} AS {value_type})"


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1").replace("'", "''")


def current_views() -> Sequence[View]:
    """Return the views, with the columns of the settings in force in `spans`, `llm_calls` and `traces`.

    Raises:
        ConfigError: The name or the attribute of a column is taken.
    """
    from llmops_sdk.config import current

    columns = current().store.columns
    for name, column in columns.items():
        _check(name, column)
    return [_extended(view, columns) if columns and view.name in _EXTENDED else view for view in VIEWS]


def _check(name: str, column: ColumnSettings) -> None:
    taken = [view.name for view in VIEWS if view.name in _EXTENDED and name in {c.name for c in view.columns}]
    filled = next((one.name for one in SPAN_COLUMNS if column.attribute in one.attributes[:1]), None)
    if taken:
        problem = f"{', '.join(taken)} already has a column of this name: choose another"
    elif filled is not None:
        problem = f"the attribute {column.attribute} already fills the column {filled}: remove this one"
    elif not column.attribute.isprintable():
        problem = "the attribute's name has a character that cannot be printed"
    else:
        return
    from llmops_sdk.config import current

    source = current().source("store.columns")
    raise ConfigError(
        f"{source}: store.columns.{name}: {problem}", source=source, key=f"store.columns.{name}", value=column.attribute
    )


def _extended(view: View, columns: Mapping[str, ColumnSettings]) -> View:
    own = tuple(Column(name, c.type, f"`{c.attribute}`, by `[store.columns]`.") for name, c in columns.items())
    sql = {name: column_sql(c.attribute, c.type) for name, c in columns.items()}
    if view.name == "traces":
        further = {name: f"arg_min({found}, start_ns)" for name, found in sql.items()}
        narrow = partial(traces_sql, further)
        return replace(view, columns=view.columns + own, sql=traces_sql(further), narrow=narrow)
    further = ", ".join(f'{found} AS "{name}"' for name, found in sql.items())
    return replace(view, columns=view.columns + own, sql=f"SELECT *, {further} FROM ({view.sql})", narrow=None)
