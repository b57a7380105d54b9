"""`llmops prune`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_sdk.cli._filters import parse_period
from llmops_sdk.cli._options import DryRun, Session, Store, User
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._progress import progress_bar
from llmops_sdk.cli.output._reading import existing_store
from llmops_sdk.errors import LLMOpsError

if TYPE_CHECKING:
    from llmops_sdk.config import SharedSettings

__all__ = ["prune"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def prune(
    user: User = None,
    session: Session = None,
    trace: Annotated[str | None, typer.Option("--trace", metavar="ID", help="The trace id, 32 digits.")] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="WHEN", help="Delete data older than this age (90d) or time.")
    ] = None,
    max_bytes: Annotated[
        str | None,
        typer.Option("--max-bytes", metavar="SIZE", help="Delete the oldest files until the store fits, e.g. 2GB."),
    ] = None,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    keep_cache: Annotated[
        bool, typer.Option("--keep-cache", help="Do not clear the response cache (with --user or --session).")
    ] = False,
    clear_cache: Annotated[
        bool, typer.Option("--clear-cache", help="Clear the response cache also if the store has nothing of them.")
    ] = False,
    store: Store = None,
) -> bool:
    """Delete the data of a user, session or trace, or old data."""
    options = {
        "user_id": user,
        "session_id": session,
        "trace_id": trace,
        "older_than": parse_period(older_than, None)[0],
        "max_bytes": _parse_size(max_bytes),
    }
    selection: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if len(selection) != 1:
        raise UsageError("select what to delete by one of --user, --session, --trace, --older-than and --max-bytes")
    folder = existing_store(store)
    from llmops_sdk.store import prune as prune_store

    if not dry_run and not yes:
        _confirm(folder, None if max_bytes else prune_store(**selection, dry_run=True, path=folder).spans)
    with progress_bar("scanned", "files") as progress:
        done = prune_store(**selection, dry_run=dry_run, path=folder, progress=progress)
    verb = "would be deleted" if dry_run else "deleted"
    spans = f"{done.spans:,} spans in {done.traces:,} traces" if done.traces else f"{done.spans:,} spans"
    items = f", {done.items:,} items of data sets" if done.items else ""
    rows = f", {done.experiment_rows:,} rows of experiments" if done.experiment_rows else ""
    print(f"{spans}, {done.scores:,} scores{items}{rows} and {done.blobs:,} images {verb}", file=sys.stderr)
    if user or session:
        _clear_cache(
            folder, found=bool(done.spans or done.scores or done.items or clear_cache), keep=keep_cache, dry_run=dry_run
        )
    if done.left:
        print(
            f"llmops: a running process has written {done.left:,} more spans meanwhile; run this again when it ends",
            file=sys.stderr,
        )
    return not done.left


def _clear_cache(folder: Path, *, found: bool, keep: bool, dry_run: bool) -> None:
    # The cache does not know who asked, so clearing it takes everyone's answers: only where the user has data here.
    from llmops_sdk.caching import count_answers, erase
    from llmops_sdk.caching._shared_tiers import clear_shared, shared_place
    from llmops_sdk.config import SharedSettings, current
    from llmops_sdk.store.maintenance._places import cache_folders

    caches = cache_folders(folder, current())
    shared = current().shared if folder == current().store.path.absolute() else SharedSettings()
    places = ", ".join(filter(None, [*map(str, caches), shared_place(shared)]))
    if keep:
        not_cleared = "would not be" if dry_run else "was not"
        print(f"the response cache {not_cleared} cleared ({places})", file=sys.stderr)
    elif not found:
        if any(map(count_answers, caches)) or _count_shared(shared):
            print(
                f"no such user or session is in the store, so the response cache {'would stay' if dry_run else 'stays'}"
                f" ({places}); --clear-cache clears it, for all users",
                file=sys.stderr,
            )
    elif dry_run:
        count = sum(map(count_answers, caches)) + _count_shared(shared)
        print(f"{count:,} answers would be deleted from the response cache, for all users", file=sys.stderr)
    elif erased := sum(map(erase, caches)) + clear_shared(shared):
        print(f"{erased:,} answers deleted from the response cache, for all users", file=sys.stderr)


def _count_shared(shared: SharedSettings) -> int:
    from llmops_sdk.caching._shared_tiers import shared_sizes

    return sum(entries for entries, _ in shared_sizes(shared).values())


def _confirm(folder: Path, spans: int | None) -> None:
    if not sys.stdin.isatty():
        raise UsageError("stdin is not a terminal: add --yes to delete, or --dry-run to count")
    what = "the oldest files" if spans is None else f"{spans:,} spans"
    sys.stderr.write(f"Permanently delete {what} from {folder}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise LLMOpsError("not confirmed: nothing was deleted")


def _parse_size(text: str | None) -> int | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a size: give a number of bytes, or e.g. 500MB or 2GB")
    return int(float(match[1]) * _UNITS[match[2].lower()])
