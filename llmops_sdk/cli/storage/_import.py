"""`llmops import`: files of spans, scores and losses into a store."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._reading import store_folder
from llmops_sdk.cli.output._text import defuse

if TYPE_CHECKING:
    from llmops_sdk.store import Imported
    from llmops_sdk.store.exchange._export import ExportForm

__all__ = ["run_import"]


def run_import(files: Sequence[Path], *, form: str | None, force: bool, dry_run: bool, store: Path | None) -> None:
    """Import the files one after another, each whole or not at all; a line on stderr for each says what came of it.

    Raises:
        UsageError: The form of a file is not known.
        StoreError: A file or the store cannot be read or written; the files before it are imported.
    """
    from llmops_sdk.store import import_file

    shown = sys.stderr.isatty()
    for file in files:
        try:
            done = import_file(
                file,
                form=cast("ExportForm | None", form),
                force=force,
                dry_run=dry_run,
                path=store_folder(store),
                progress=_show if shown else None,
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
        finally:
            if shown:
                sys.stderr.write("\r\x1b[K")
        _report(done, dry_run=dry_run)


def _report(done: Imported, *, dry_run: bool) -> None:
    counts = {"spans": done.spans, "scores": done.scores, "losses": done.losses}
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "nothing new"
    if done.present:
        told += f", {done.present:,} there already (--force takes them all the same)"
    if done.rejected:
        told += f", {done.rejected:,} not readable and counted in losses ({defuse(done.problems[0])})"
    if done.ignored:
        told += f", {done.ignored:,} passed over"
    sure = "would be imported" if dry_run else "imported"
    print(f"{defuse(str(done.file))} ({done.form}): {sure}: {told}", file=sys.stderr)


def _show(records: int, read: int, size: int) -> None:
    share = f" ({100 * read // size} %)" if size else ""
    sys.stderr.write(f"\r{records:,} read{share}\x1b[K")
    sys.stderr.flush()
