"""`llmops export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from llmops_sdk.cli._filters import parse_period
from llmops_sdk.cli._options import FileFormat, Force, Since, Store, Until, WhereSql
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._progress import progress_bar
from llmops_sdk.cli.output._reading import existing_store

if TYPE_CHECKING:
    from llmops_sdk.store.exchange._export import ExportForm, ExportWhat

__all__ = ["export"]


def export(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The .parquet, .jsonl, .csv or .json (OTLP) file.", show_default=False),
    ] = None,
    what: Annotated[
        str,
        typer.Option(
            "--what",
            help="spans, scores, losses, experiments, experiment_items, experiment_scores, alerts, drift_checks or "
            "canary_runs.",
        ),
    ] = "spans",
    form: FileFormat = None,
    where: WhereSql = None,
    since: Since = None,
    until: Until = None,
    force: Force = False,
    clickhouse_views: Annotated[
        bool, typer.Option("--clickhouse-views", help="Print SQL for the views in ClickHouse; write no file.")
    ] = False,
    store: Store = None,
) -> None:
    """Write spans, scores or losses to a file."""
    if (file is not None) == clickhouse_views:
        raise UsageError("give a FILE to write, or --clickhouse-views, not both")
    if file is None:
        from llmops_sdk.store.schema._clickhouse import clickhouse

        sys.stdout.write(clickhouse())
        return
    folder = existing_store(store)
    from llmops_sdk.store import export as export_file

    begin, end = parse_period(since, until)
    try:
        with progress_bar("written", "rows") as progress:
            done = export_file(
                file,
                what=cast("ExportWhat", what),
                form=cast("ExportForm | None", form),
                where=where,
                since=begin,
                until=end,
                force=force,
                path=folder,
                progress=progress,
            )
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(f"{done.rows:,} {what} in {done.file} ({done.bytes:,} bytes, {done.form})", file=sys.stderr)
