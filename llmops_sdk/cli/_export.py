"""`llmops export`: a store's spans, scores or losses in a file."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from llmops_sdk.cli._filters import parse_moment
from llmops_sdk.cli._reading import store_folder
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.errors import StoreError

if TYPE_CHECKING:
    from llmops_sdk.store._export import ExportForm, ExportWhat

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
    folder = store_folder(store)
    if not folder.is_dir():
        raise StoreError(f"there is no store at {folder}: name another with --store PATH", path=str(folder))
    from llmops_sdk.store import export

    now = datetime.now(UTC).replace(tzinfo=None)
    shown = sys.stderr.isatty()
    try:
        done = export(
            file,
            what=cast("ExportWhat", what),
            form=cast("ExportForm | None", form),
            where=where,
            since=parse_moment(since, now),
            until=parse_moment(until, now),
            force=force,
            path=folder,
            progress=_show if shown else None,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
    print(f"{done.rows:,} {what} in {done.file} ({done.bytes:,} bytes, {done.form})", file=sys.stderr)


def _show(rows: int, total: int) -> None:
    share = f"{rows:,} of {total:,} rows ({100 * rows // total} %)" if total else "counting the rows"
    sys.stderr.write(f"\r{share}\x1b[K")
    sys.stderr.flush()
