"""Make a data set of what a program gets on stdin."""

from __future__ import annotations

import sys

from llmops_sdk.datasets._dataset import Dataset
from llmops_sdk.datasets._read_files import form_of, read_stream
from llmops_sdk.datasets._rows import Columns, items_of_rows

__all__ = ["read_stdin"]


def read_stdin(form: str, *, input: str, expected: str, id: str | None) -> Dataset:  # noqa: A002 - as `from_file`
    """Make a data set of stdin.

    Args:
        form: "jsonl" or "csv".
        input: The column of inputs.
        expected: The column of expected outputs.
        id: The column of ids.

    Raises:
        DatasetError: It is too large, or a line is not valid.
    """
    rows = read_stream(sys.stdin.buffer, form_of("stdin", form), "stdin")
    items = items_of_rows(rows, Columns(input, expected, id), word="line")
    return Dataset(items, source="file", detail="stdin")
