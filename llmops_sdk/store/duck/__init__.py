"""Everything that imports DuckDB below the reader: connections, SQL text, Parquet, the manifest's rebuild.

Doors for other packages: `_sql`.
"""
