"""`llmops export`: a store's spans, scores or losses in a file."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from llmops_sdk.cli._filters import parse_moment
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._progress import progress_bar
from llmops_sdk.cli.output._reading import existing_store

if TYPE_CHECKING:
    from llmops_sdk.store.exchange._export import ExportForm, ExportWhat

__all__ = ["run_export"]


def run_export(
    file: Path,
    *,
    what: str,
    form: str | None,
    where: str | None,
    since: str | None,
    until: str | None,
    force: bool,
    store: Path | None,
) -> None:
    """Write the file, and on stderr how far it is (on a terminal) and what it holds.

    Raises:
        UsageError: A time cannot be read, or the form is not known, or does not fit.
        QueryError: The condition is not valid or not allowed.
        StoreError: There is no store, or the file cannot be written, or it is there.
    """
    folder = existing_store(store)
    from llmops_sdk.store import export

    now = datetime.now(UTC).replace(tzinfo=None)
    try:
        with progress_bar("written", "rows") as progress:
            done = export(
                file,
                what=cast("ExportWhat", what),
                form=cast("ExportForm | None", form),
                where=where,
                since=parse_moment(since, now),
                until=parse_moment(until, now),
                force=force,
                path=folder,
                progress=progress,
            )
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(f"{done.rows:,} {what} in {done.file} ({done.bytes:,} bytes, {done.form})", file=sys.stderr)
