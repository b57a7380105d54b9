"""`llmops schema`: the views that SQL reads, and their columns."""

from __future__ import annotations

import difflib
import sys
from typing import Annotated

import typer

from llmops_sdk.cli._options import Form
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format, write_rows

__all__ = ["schema"]


def schema(
    view: Annotated[
        str | None, typer.Argument(metavar="[VIEW]", help="The view. Default: list all views.", show_default=False)
    ] = None,
    form: Form = Format.TABLE,
) -> None:
    """Show the views and columns that SQL can read."""
    from llmops_sdk.store.schema._user_columns import current_views

    views = {one.name: one for one in current_views()}
    if view is None:
        write_rows(
            form, ("view", "columns", "what"), [(v.name, len(v.columns), v.doc) for v in views.values()], sys.stdout
        )
        return
    found = views.get(view.strip().lower())
    if found is None:
        near = difflib.get_close_matches(view.lower(), views, n=1, cutoff=0.0)
        raise UsageError(f'there is no view "{view}"; the nearest is {near[0]}, all are {", ".join(views)}')
    rows = [(column.name, column.type, column.unit, column.doc) for column in found.columns]
    write_rows(form, ("column", "type", "unit", "what"), rows, sys.stdout)
