"""The columns and views: the one place that lines, Parquet, SQL and docs/schema.md come from.

Doors for other packages: `_clickhouse`, `_user_columns`.
"""
