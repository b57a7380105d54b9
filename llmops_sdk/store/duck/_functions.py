"""Which of DuckDB's functions a query may call: table functions that only read, and no function that changes state."""

from __future__ import annotations

import re

import duckdb

__all__ = ["ALLOWED_TABLE_FUNCTIONS", "DENIED_FUNCTIONS", "STATEFUL_FUNCTIONS", "called_functions"]

ALLOWED_TABLE_FUNCTIONS = frozenset({
    "duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_dependencies", "duckdb_functions",
    "duckdb_indexes", "duckdb_keywords", "duckdb_memory", "duckdb_schemas", "duckdb_sequences", "duckdb_settings",
    "duckdb_tables", "duckdb_types", "duckdb_views",
    "generate_series", "histogram", "histogram_values", "icu_calendar_names", "json_each", "json_tree",
    "pg_timezone_names", "pragma_collations", "pragma_database_size", "pragma_platform", "pragma_show",
    "pragma_table_info", "pragma_version", "range", "repeat", "repeat_row", "summary", "unnest",
})  # fmt: skip
"""Table functions that a query may call."""

DENIED_FUNCTIONS = frozenset({
    # They change the connection, or run SQL that nobody has checked.
    "add_grammar_extension", "checkpoint", "create_external_resource", "deregister_external_resource",
    "destroy_external_resource", "disable_logging", "disable_profiling", "enable_logging", "enable_profiling",
    "force_checkpoint", "json_execute_serialized_sql", "pragma_metadata_info", "pragma_storage_info", "query",
    "query_table", "register_external_resource", "register_external_resource_type", "remove_grammar_extension",
    "set_config", "truncate_duckdb_logs", "write_log",
    # They read files or memory by name. The connection is confined too.
    "arrow_scan", "arrow_scan_dumb", "glob", "pandas_scan", "parquet_bloom_probe", "parquet_file_metadata",
    "parquet_full_metadata", "parquet_kv_metadata", "parquet_metadata", "parquet_page_index", "parquet_scan",
    "parquet_schema", "python_arrow_scan", "python_map_function", "read_blob", "read_csv", "read_csv_auto",
    "read_duckdb", "read_json", "read_json_auto", "read_json_objects", "read_json_objects_auto", "read_ndjson",
    "read_ndjson_auto", "read_ndjson_objects", "read_parquet", "read_single_csv_file", "read_single_json_file",
    "read_single_parquet_file", "read_text", "seq_scan", "sniff_csv",
    # Nobody needs them to read traces.
    "duckdb_approx_database_count", "duckdb_available_metrics", "duckdb_connection_count", "duckdb_coordinate_systems",
    "duckdb_dialects", "duckdb_eviction_queues", "duckdb_extension_repositories", "duckdb_extensions",
    "duckdb_external_file_cache", "duckdb_external_resource_types", "duckdb_external_resources",
    "duckdb_grammar_extensions", "duckdb_live_query_metrics", "duckdb_log_contexts", "duckdb_logs",
    "duckdb_logs_parsed", "duckdb_optimizers", "duckdb_prepared_statements", "duckdb_profiling_settings",
    "duckdb_secret_type_parameters", "duckdb_secret_types", "duckdb_secrets", "duckdb_table_sample",
    "duckdb_temporary_files", "duckdb_triggers", "duckdb_variables", "pragma_user_agent", "test_all_types",
    "test_vector_types", "which_secret",
})  # fmt: skip
"""Functions that a query may not call."""

STATEFUL_FUNCTIONS = frozenset({"currval", "nextval", "setseed", "setval"})
"""Functions whose effect lasts for the connection. A query that calls one has a connection of its own."""

_NAME = re.compile(r"\"((?:[^\"]|\"\")*)\"|\w+")


def called_functions(sql: str) -> set[str]:
    r"""Return the names before a parenthesis, in lower case. Comments and strings do not count.

    Example:
        >>> sorted(called_functions("SELECT count(*), 'glob(' FROM main.\"Range\" /* query( */ (3)"))
        ['count', 'range']
    """
    tokens = duckdb.tokenize(sql)
    encoded = sql.encode()  # DuckDB counts bytes
    places = [position for position, _ in tokens]
    names: set[str] = set()
    last = ""
    for (start, kind), end in zip(tokens, [*places[1:], len(encoded)], strict=True):
        text = encoded[start:end].decode().strip()
        if kind == duckdb.token_type.comment:
            continue
        if text.startswith("(") and last:
            names.add(last)
        found = _NAME.match(text)
        # Two signs may be one token, as in "((".
        last = "" if found is None or kind == duckdb.token_type.string_const else _plain(found).lower()
    return names


def _plain(found: re.Match[str]) -> str:
    return found[0] if found[1] is None else found[1].replace('""', '"')
