"""Everything that imports DuckDB below the reader: connections, SQL text, Parquet files, rebuilding the manifest.

Doors for other packages: `_import_table`, `_sql`, `_text_tables`.
"""
