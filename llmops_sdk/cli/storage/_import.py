"""`llmops import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from llmops_sdk.cli._options import DryRun, FileFormat, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._reading import store_folder
from llmops_sdk.cli.output._text import defuse

if TYPE_CHECKING:
    from llmops_sdk.store import Imported
    from llmops_sdk.store.exchange._export import ExportForm

__all__ = ["import_"]


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="Files written by `llmops export`, or OTLP JSON from other tools."),
    ],
    form: FileFormat = None,
    force: Annotated[bool, typer.Option("--force", help="Import records even if the store already has them.")] = False,
    dry_run: DryRun = False,
    store: Store = None,
) -> None:
    """Import spans, scores or losses from files.

    Each file is imported completely or not at all.
    """
    from llmops_sdk.store import import_file

    on_terminal = sys.stderr.isatty()
    for file in files:
        try:
            done = import_file(
                file,
                form=cast("ExportForm | None", form),
                force=force,
                dry_run=dry_run,
                path=store_folder(store),
                progress=_show_progress if on_terminal else None,
            )
        except ValueError as error:
            raise UsageError(str(error)) from error
        finally:
            if on_terminal:
                sys.stderr.write("\r\x1b[K")
        _print_counts(done, dry_run=dry_run)


def _print_counts(done: Imported, *, dry_run: bool) -> None:
    counts = {"spans": done.spans, "scores": done.scores, "losses": done.losses}
    text = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "nothing new"
    if done.present:
        text += f", {done.present:,} already in the store (--force imports them again)"
    if done.rejected:
        text += f", {done.rejected:,} not readable and counted in losses ({defuse(done.problems[0])})"
    if done.ignored:
        text += f", {done.ignored:,} ignored"
    verb = "would be imported" if dry_run else "imported"
    print(f"{defuse(str(done.file))} ({done.form}): {verb}: {text}", file=sys.stderr)


def _show_progress(records: int, read: int, size: int) -> None:
    share = f" ({100 * read // size} %)" if size else ""
    sys.stderr.write(f"\r{records:,} read{share}\x1b[K")
    sys.stderr.flush()
