"""Write rows of text to Parquet files."""
# ruff: noqa: S608 - the statement has names of columns, which are constants, and quoted names of files

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._sql import duckdb, open_database, pattern, quoted

__all__ = ["write_text_parquet"]

_MAX_OBJECT = 32 * 1024 * 1024
_GROUP = 10_000
_MEMORY = "1GB"


def write_text_parquet(names: Sequence[str], lines: Iterable[bytes], file: Path) -> None:
    """Write a Parquet file of text columns.

    Args:
        names: The columns.
        lines: The rows, each a JSON object of texts and nulls.
        file: The new file; the lines are written beside it meanwhile.

    Raises:
        StoreError: It cannot be written.
    """
    source = file.with_name(f"{file.name}.lines")
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    try:
        with source.open("wb") as out:
            for line in lines:
                out.write(line)
                out.write(b"\n")
        config = {"memory_limit": _MEMORY, "temp_directory": "", "autoinstall_known_extensions": "false"}
        with open_database(":memory:", config) as connection:
            connection.execute(
                f"COPY (SELECT * FROM read_json({quoted(pattern(source))}, columns = {{{columns}}}, "
                f"format = 'newline_delimited', maximum_object_size = {_MAX_OBJECT})) TO {quoted(str(file))} "
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP}, USE_TMP_FILE false)"
            )
    except duckdb.Error as error:
        raise StoreError(f"{file} cannot be written: {str(error).partition(chr(10))[0]}", path=str(file)) from error
    finally:
        source.unlink(missing_ok=True)
