"""Check a user's SQL statement before it runs, and explain its errors."""
# ruff: noqa: S608 - the user's SQL is the purpose; what it may do is held by `check_statement` and by the connection

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from llmops_sdk.errors import QueryError
from llmops_sdk.store.duck._functions import DENIED_FUNCTIONS, STATEFUL_FUNCTIONS, called_functions
from llmops_sdk.store.duck._sql import duckdb
from llmops_sdk.store.schema._user_columns import current_views
from llmops_sdk.store.schema._views import View

__all__ = ["Parameters", "Statement", "check_statement", "query_error"]

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]

_ALLOWED = "SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN"
_PLACE = re.compile(r"\n+LINE (\d+): (.*)\n( *\^+)\s*$", re.DOTALL)
# DESC stands for DESCRIBE only where a statement begins; elsewhere it is an order, which needs no catalog.
_CATALOG = re.compile(
    r"\b(show|describe|summarize|information_schema|(duckdb|pg|sqlite)_\w+)\b|(^|\()\s*desc\b", re.IGNORECASE
)
_COLUMN = re.compile(
    r'Referenced column "([^"]+)" not found|does not have a column named "([^"]+)"|Column "([^"]+)" does not exist on'
)
_USUAL_NAMES = {
    **dict.fromkeys(("latency", "latency_ms", "duration", "elapsed", "elapsed_ms", "response_time"), "duration_ms"),
    **dict.fromkeys(("timestamp", "time", "date", "datetime", "created_at", "created", "ts", "started_at", "start"),
                    "start_time"),
    **dict.fromkeys(("ended_at", "end", "end_time"), "start_time + to_milliseconds(duration_ms)"),
    **dict.fromkeys(("metadata", "meta"), "attributes ->> '$.\"llmops.metadata.KEY\"'"),
    **dict.fromkeys(("tenant", "tenant_id", "customer", "customer_id", "account", "org", "organization"),
                    "user_id, or a column of your own ([store.columns] tenant = \"tenant\")"),
    **dict.fromkeys(("tokens", "total_tokens", "token_count"), "input_tokens + output_tokens"),
    "prompt_tokens": "input_tokens", "completion_tokens": "output_tokens", "cached_tokens": "cache_read_tokens",
    **dict.fromkeys(("prompt", "question", "request", "arguments"), "input"),
    **dict.fromkeys(("response", "completion", "answer", "result"), "output"),
    **dict.fromkeys(("error", "exception", "error_message", "message"), "status_message, or error_type"),
    **dict.fromkeys(("price", "usd", "total_cost", "cost_usd"), "cost"),
    **dict.fromkeys(("session", "conversation_id", "thread_id"), "session_id"),
    **dict.fromkeys(("user", "username"), "user_id"), "tag": "list_contains(tags, 'NAME')",
    **dict.fromkeys(("ttft", "time_to_first_token", "first_token_ms"), "ttft_ms"),
    **dict.fromkeys(("level", "state"), "status"), "type": "kind", "span_kind": "kind", "id": "trace_id",
    **dict.fromkeys(("parent", "parent_id"), "parent_span_id"),
    **dict.fromkeys(("model_name", "llm", "engine"), "model"), "vendor": "provider",
    **dict.fromkeys(("operation_name", "span_name"), "name"), "service_name": "service",
}  # fmt: skip
"""What other tools call our columns."""

_ALIAS = re.compile(r'Referenced table "([^"]+)" not found')
_EXPLAIN = re.compile(r"^\s*explain\s+(?:analyze\s+|\([^)]*\)\s*)?", re.IGNORECASE)
_TABLE = re.compile(r"Table with name (.+?) does not exist")
_DID_YOU_MEAN = re.compile(r"\n(?:Did you mean|Candidate (?:bindings|tables)).*")


@dataclass(frozen=True, slots=True)
class Statement:
    """A read-only statement and its parameters."""

    sql: str
    params: list[Any] | dict[str, Any] | None
    explain: bool
    stateful: bool = False

    @property
    def views(self) -> list[View]:
        """Return the views that the statement may read: those it names, or all when it reads the catalog."""
        if _CATALOG.search(self.sql):
            return list(current_views())
        return _named_views(self.sql)

    @property
    def names_tables(self) -> bool:
        """Return whether the statement needs a connection of its own: for the tables under the views, or for state."""
        return self.stateful or _CATALOG.search(self.sql) is not None or "store" in self.sql.lower()

    def run(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        """Store the rows in a new table."""
        if self.explain:
            # EXPLAIN cannot be a subquery.
            rows = connection.execute(self.sql, self.params).fetchall()
            connection.execute(f"CREATE TABLE {table} (explain_key VARCHAR, explain_value VARCHAR)")
            connection.executemany(f"INSERT INTO {table} VALUES ($1, $2)", rows)
        else:
            # On its own lines: it may end with a comment, and DuckDB's line numbers are off by just one.
            connection.execute(f"CREATE TABLE {table} AS FROM (\n{self.sql}\n)", self.params)


def check_statement(sql: str, params: Parameters | None) -> Statement:
    """Parse SQL that must be one read-only statement.

    Raises:
        QueryError: It is not one statement, does more than read, or its parameters do not fit.
    """
    if isinstance(params, (str, bytes)):
        raise QueryError(f"the parameters are a list or a mapping, not {type(params).__name__}: [{params!r}]", sql=sql)
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"the SQL is not valid Unicode at character {error.start}", sql=sql) from error
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise query_error(error, sql, shift=0) from error
    if len(statements) != 1:
        raise QueryError(f"one statement is needed, these are {len(statements)}:\n\n{sql}", sql=sql)
    statement = statements[0]
    text = statement.query.rstrip().rstrip(";").rstrip()
    statement_type = statement.type.name
    # EXPLAIN ANALYZE executes the statement, so that must be read-only too.
    if not _reads(_EXPLAIN.sub("", text, count=1) if statement_type == "EXPLAIN" else text):
        raise QueryError(
            f"a query only reads ({_ALLOWED}), this is {statement_type}; llmops.connect() gives a connection "
            f"for more:\n\n{sql}",
            sql=sql,
        )
    called = called_functions(text)
    if denied := called & DENIED_FUNCTIONS:
        raise QueryError(
            f"a query may not call {', '.join(sorted(denied))}: it reads the views only, and leaves nothing behind; "
            f"llmops.connect() gives a connection for more:\n\n{sql}",
            sql=sql,
        )
    values = _values(sql, statement.named_parameters, params)
    return Statement(text, values, statement_type == "EXPLAIN", bool(called & STATEFUL_FUNCTIONS))


def _reads(sql: str) -> bool:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error:
        return False
    types = [statement.type.name for statement in statements]
    # DuckDB splits some statements into several; of these only PIVOT is read-only.
    return types == ["SELECT"] or (types == ["MULTI"] and re.match(r"\s*pivot\b", sql, re.IGNORECASE) is not None)


def _values(sql: str, names: set[str], params: Parameters | None) -> list[Any] | dict[str, Any] | None:
    given = {str(name) for name in params} if isinstance(params, Mapping) else _numbers(len(params or ()))
    if given != names:
        positional = names == _numbers(len(names))
        wanted = f"{len(names)} parameter{'' if len(names) == 1 else 's'}" if positional else _list(names)
        got = _list(given) if isinstance(params, Mapping) else str(len(params or ()))
        raise QueryError(f"the SQL has {wanted}, but {got} given:\n\n{sql}", sql=sql)
    if isinstance(params, Mapping):
        return dict(params)
    return list(params) if params else None


def _numbers(count: int) -> set[str]:
    return {str(number) for number in range(1, count + 1)}


def _list(names: set[str]) -> str:
    return ", ".join(f"${name}" for name in sorted(names)) or "none"


def query_error(error: duckdb.Error, sql: str, shift: int = 1) -> QueryError:
    """Convert DuckDB's error: add the place in the user's SQL and similar names.

    Args:
        error: DuckDB's error.
        sql: The user's SQL.
        shift: Lines before the SQL in the executed statement.
    """
    text = str(error)
    place = _PLACE.search(text)
    if place is None:
        return QueryError(f"{text.strip()}{_suggestion(text, sql)}\n\n{sql}", sql=sql)
    what = text[: place.start()]
    meant = _suggestion(what, sql)
    if meant:
        what = _DID_YOU_MEAN.sub("", what)
    # DuckDB's line number may have one digit more than ours, which moves the caret.
    label = f"LINE {int(place[1]) - shift}: "
    caret = place[3][len(f"LINE {place[1]}: ") - len(label) :]
    return QueryError(f"{what.strip()}{meant}\n\n{label}{place[2]}\n{caret}", sql=sql)


def _suggestion(message: str, sql: str) -> str:
    table = _TABLE.search(message)
    if table:
        views = [view.name for view in current_views()]
        return f"\n{_nearest(table[1], views)}The views are {', '.join(views)}."
    alias = _ALIAS.search(message)
    if alias:
        return f"\nThe FROM clause has no {alias[1]}: use the names (or the aliases) that it gives."
    column = _COLUMN.search(message)
    if column:
        nearest = _views_with(column[column.lastindex or 1], sql)
        return f"\n{nearest}`llmops schema VIEW` and DESCRIBE list every column, as in: DESCRIBE llm_calls"
    return ""


def _views_with(column: str, sql: str) -> str:
    """Return a hint: the views that have the column, or columns with similar names, of the views that the SQL names."""
    views = [view.name for view in current_views() if column.lower() in {c.name for c in view.columns}]
    usual = _USUAL_NAMES.get(column.lower().replace("-", "_"))
    meant = f"Did you mean {usual}? " if usual else ""
    if views:
        return f"A column {column.lower()} is in {', '.join(views)}. {meant}"
    if meant:
        return meant
    near = _nearest(column, _columns_of(_named_views(sql)))
    return near or _nearest(column, _columns_of(current_views()))


def _named_views(sql: str) -> list[View]:
    words = set(re.findall(r"\w+", sql.lower()))
    return [view for view in current_views() if view.name in words]


def _columns_of(views: Iterable[View]) -> list[str]:
    return sorted({column.name for view in views for column in view.columns})


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}? " if near else ""
